"""One file per API resource; an endpoint is one file and its router's name in `ROUTERS`."""

from fastapi import APIRouter

from deployments.routers import artifacts, health, jobs, usage
from deployments.routers.aiserver import chat as aiserver_chat
from deployments.routers.aiserver import files, job_status, ollama, operations, voices
from deployments.routers.openai import chat, embeddings, images, models, speech, transcriptions

ROUTERS: tuple[APIRouter, ...] = (
    chat.router,  # first, because every request is compared with the routes one after the other
    health.router,
    artifacts.router,
    operations.router,
    aiserver_chat.router,
    ollama.router,
    voices.router,
    files.router,
    job_status.router,
    jobs.router,
    usage.router,
    transcriptions.router,
    speech.router,
    images.router,
    embeddings.router,
    models.router,
)
