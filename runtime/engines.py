"""The query engine a program's configuration names, with what computing may use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from engine.engine import Engine
from engine.opening import DUCKDB, check_engine, open_engine
from engine.spark_settings import check_settings
from protos.problems import Problem
from runtime.configuration import Settings

_Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class EngineSettings(Settings):
    """Where SQL is run; `engine = "…"` says where alone."""

    # "duckdb", in the program's own process; "spark://host:port", or "local[2]" to try Spark on one machine.
    at: _Text = DUCKDB
    # Spark's own settings by their names (spark.executor.memory); none that would make a figure inexact.
    spark: dict[_Text, str] = Field(default_factory=dict)
    memory_limit_mb: Annotated[int, Field(ge=128, le=1 << 20)] = 2048
    threads: Annotated[int, Field(ge=1, le=256)] = 2

    @model_validator(mode="after")
    def _engine_known(self) -> Self:
        try:
            check_engine(self.at)
            check_settings(self.spark)
        except Problem as problem:
            raise ValueError(f"{problem.message} {problem.remedy}") from problem
        if self.spark and self.at == DUCKDB:
            raise ValueError("settings for Spark are of no use to DuckDB")
        return self

    @property
    def on_cluster(self) -> bool:
        """Tell whether others than this machine read and write files."""
        return self.at.startswith("spark://")

    def embedded(self) -> Self:
        """Give the same limits for the engine inside this process."""
        return self.model_copy(update={"at": DUCKDB, "spark": {}})

    def open(self, temp_dir: Path) -> Engine:
        """Open the engine; what it keeps meanwhile lies in `temp_dir`."""
        return open_engine(
            self.at,
            memory_limit_mb=self.memory_limit_mb,
            threads=self.threads,
            temp_dir=temp_dir,
            settings=self.spark,
        )


def _place(value: object) -> object:
    """Let `engine = "duckdb"` stand for `[engine] at = "duckdb"`."""
    return {"at": value} if isinstance(value, str) else value


ENGINE_NAMED = BeforeValidator(_place)
