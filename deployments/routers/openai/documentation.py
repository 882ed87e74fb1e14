"""The parts of the interactive documentation that the framework cannot read off the routes."""

from typing import Any

from deployments.routers.openai.transcripts import Granularity, TranscriptFormat
from pipelines.audio import AudioFormat
from pipelines.tasks.text_to_speech import MAX_TEXT_LENGTH

AUDIO_FIELDS: dict[str, Any] = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "The audio: wav, mp3, flac, ogg, m4a, webm or what else FFmpeg reads.",
    },
    "model": {
        "type": "string",
        "example": "whisper-base",
        "description": "Id or alias of a model; the server's default if it is left out.",
    },
    "language": {
        "type": "string",
        "example": "en",
        "description": "ISO 639-1 code of what is spoken; detected if it is left out.",
    },
    "prompt": {"type": "string", "description": "Names and spellings to prefer."},
    "response_format": {
        "type": "string",
        "enum": [str(value) for value in TranscriptFormat],
        "default": str(TranscriptFormat.JSON),
    },
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
}

TRANSCRIPTION_FIELDS: dict[str, Any] = {
    "timestamp_granularities[]": {
        "type": "array",
        "items": {"type": "string", "enum": [str(value) for value in Granularity]},
        "description": "What gets times; needs `response_format=verbose_json`. Segments by default.",
    },
    "stream": {
        "type": "boolean",
        "default": False,
        "description": "Answer with server-sent events while the audio is heard.",
    },
}

_TRANSCRIPT_EXAMPLES: dict[str, Any] = {
    "application/json": {
        "example": {"text": "He was not an ordinary man.", "usage": {"type": "duration", "seconds": 3}}
    },
    "text/plain": {"example": "1\n00:00:00,000 --> 00:00:02,480\nHe was not an ordinary man.\n\n"},
}
_STREAM_EXAMPLE: dict[str, Any] = {
    "text/event-stream": {"example": 'data: {"type":"transcript.text.delta","delta":"He was not"}\n\n'},
}


def audio_form(fields: dict[str, Any]) -> dict[str, Any]:
    """Describe a route that takes a file with `fields` and answers with a transcript."""
    schema = {"type": "object", "required": ["file"], "properties": fields}
    form = {"schema": schema, "example": {"file": "@speech.wav", "model": "whisper-base"}}
    examples = _TRANSCRIPT_EXAMPLES | (_STREAM_EXAMPLE if "stream" in fields else {})
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": form}},
        "responses": {"200": {"description": "The transcript", "content": examples}},
    }


_SPEECH_FIELDS: dict[str, Any] = {
    "input": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_TEXT_LENGTH,
        "description": "The text to speak.",
    },
    "voice": {
        "type": "string",
        "description": 'Id or alias of a configured voice; OpenAI\'s names are aliases. Also `{"id": ...}`.',
    },
    "model": {"type": "string", "description": "A voice too; used where `voice` is left out."},
    "response_format": {
        "type": "string",
        "enum": [str(value) for value in AudioFormat],
        "default": str(AudioFormat.MP3),
    },
    "speed": {"type": "number", "minimum": 0.25, "maximum": 4, "default": 1},
    "stream_format": {"type": "string", "enum": ["audio", "sse"], "default": "audio"},
    "speaker": {"type": "string", "description": "Name or number, for voices with several speakers."},
    "instructions": {"type": "string", "description": "Accepted and ignored."},
}
_SPEECH_EXAMPLE = {
    "model": "tts-1",
    "voice": "alloy",
    "input": "Hello from my own server.",
    "response_format": "wav",
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}

SPEECH_ROUTE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["input"], "properties": _SPEECH_FIELDS},
                "example": _SPEECH_EXAMPLE,
            }
        },
    },
    "responses": {
        "200": {
            "description": "The audio, sent while it is spoken",
            "content": {
                **{audio_format.media_type: _BINARY for audio_format in AudioFormat},
                "text/event-stream": {
                    "example": 'data: {"type":"speech.audio.delta","audio":"UklGRi..."}\n\n'
                },
            },
        }
    },
}
