"""One file per API resource; an endpoint is one file and its router's name in `ROUTERS`."""

from fastapi import APIRouter

from deployments.routers import artifacts, health, jobs
from deployments.routers.aiserver import files, job_status, operations, voices
from deployments.routers.openai import images, models, speech, transcriptions

ROUTERS: tuple[APIRouter, ...] = (
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
