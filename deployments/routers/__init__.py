"""One file per API resource; an endpoint is one file and its router's name in `ROUTERS`."""

from fastapi import APIRouter

from deployments.routers import artifacts, health, jobs
from deployments.routers.aiserver import files, job_status, operations, voices
from deployments.routers.openai import chat, images, models, speech, transcriptions

ROUTERS: tuple[APIRouter, ...] = (
    chat.router,  # first, because every request is compared with the routes one after the other
    health.router,
    artifacts.router,
    operations.router,
    voices.router,
    files.router,
    job_status.router,
    jobs.router,
    transcriptions.router,
    speech.router,
    images.router,
    models.router,
)
