"""`ai-server bench pictures`: does the model draw what it is asked for? A judge, trained apart, says so."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from configs.settings import Settings
from deployments.cli.client import ask, connect

SEED = 1
COLUMNS = 8


def pictures(
    model: Annotated[str, typer.Option(help="Which model draws.")] = "tiny-sdxl",
    prompts: Annotated[int, typer.Option(help="Ask only the first ones; 0 asks all 200.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Draw 24 more, and write them side by side.")] = None,
) -> None:
    """Draw 200 prompts of the tiny models' exam and print the judge's scores; the server must be running."""
    # Imported here: torch takes seconds, and the other commands do not need it.
    from pipelines.training import exam, judge

    asked = exam.questions()[: prompts or None]
    drawn = _drawn(model, [(question.prompt, SEED) for question in asked])
    table = Table(
        "", "prompts", "object, top 1", "object, top 5", "ground", title=f"What the judge sees on {model}'s"
    )
    for score in exam.mark(judge.load(), asked, drawn):
        table.add_row(
            score.kind, str(score.count), *(f"{each:.1%}" for each in (score.top1, score.top5, score.ground))
        )
    Console().print(table)
    if sheet:
        wishes = [(prompt, seed) for seed, prompt in enumerate(exam.SHEET, 1)]
        contact_sheet(_drawn(model, wishes)).save(sheet)


def _drawn(model: str, wishes: Sequence[tuple[str, int]]) -> list[Image.Image]:
    """Have prompts drawn, each with its seed."""
    pictures = []
    with connect(Settings.from_environment()) as client:
        for prompt, seed in track(wishes, f"{model} draws", console=Console(stderr=True)):
            body = {"positivePrompt": prompt, "model": model, "seed": seed, "outputFormat": "png"}
            answer = ask(client, "POST", "/api/TextToImage", json=body).json()
            picture = ask(client, "GET", answer["results"][0]["url"]).content
            pictures.append(Image.open(io.BytesIO(picture)).convert("RGB"))
    return pictures


def contact_sheet(drawn: list[Image.Image], side: int = 128) -> Image.Image:
    """Put pictures side by side, so that a person can look at them all."""
    rows = -(-len(drawn) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * (side + 4), rows * (side + 4)), "white")
    for index, picture in enumerate(drawn):
        place = ((index % COLUMNS) * (side + 4) + 2, (index // COLUMNS) * (side + 4) + 2)
        canvas.paste(picture.resize((side, side), Image.Resampling.LANCZOS), place)
    return canvas
