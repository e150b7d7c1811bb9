"""A few seeded baskets in the shape of the retailer's real Parquet files, for runs in small."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from pathlib import Path

import duckdb

from examples.federation.synthetic_city import SEED, Row

_PRODUCTS = (
    (101, "GROCERY", "BEANS - CANNED GLASS & MW", "VARIETY BEANS - KIDNEY PINTO", 99),
    (102, "GROCERY", "DRY BN/VEG/POTATO/RICE", "DRY BEANS/PEAS/BARLEY: BAG & B", 189),
    (103, "NUTRITION", "REFRIGERATED", "TOFU", 249),
    (104, "MEAT", "BEEF", "CHOICE BEEF", 899),
    (105, "GROCERY", "FLUID MILK PRODUCTS", "FLUID MILK WHITE ONLY", 219),
    (106, "PRODUCE", "APPLES", "APPLES GALA (BULK&BAG)", 329),
)
_FIRST_DAY = datetime.date(2017, 11, 1)
_DAYS = 61


def write_groceries(folder: Path, households: int, seed: int = SEED) -> None:
    """Write transactions.parquet and products.parquet of that many households for 2017-11 and 2017-12."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        database.execute(
            "CREATE TABLE products (product_id BIGINT, manufacturer_id BIGINT, department VARCHAR,"
            " brand VARCHAR, product_category VARCHAR, product_type VARCHAR, package_size VARCHAR)"
        )
        database.executemany(
            "INSERT INTO products VALUES (?, 1, ?, 'National', ?, ?, NULL)",
            [list(product[:4]) for product in _PRODUCTS],
        )
        database.execute(
            "CREATE TABLE transactions (household_id BIGINT, store_id BIGINT, basket_id BIGINT,"
            " product_id BIGINT, quantity BIGINT, sales_value DOUBLE, retail_disc DOUBLE,"
            " coupon_disc DOUBLE, coupon_match_disc DOUBLE, week BIGINT, transaction_timestamp TIMESTAMP)"
        )
        database.executemany(
            "INSERT INTO transactions VALUES (?, 300, ?, ?, ?, ?, 0, 0, 0, ?, ?)",
            [list(line) for line in _lines(households, seed)],
        )
        for table in ("products", "transactions"):
            database.execute(f"COPY {table} TO '{folder / table}.parquet' (FORMAT parquet)")


def _lines(households: int, seed: int) -> Iterator[Row]:
    """Yield receipt lines: six baskets a household, each with up to four products, now and then a return."""
    source = random.Random(seed + 4)
    for household in range(1, households + 1):
        for basket in range(6):
            day = source.randrange(_DAYS)
            start = datetime.datetime.combine(_FIRST_DAY, datetime.time(18, 30)) + datetime.timedelta(
                days=day
            )
            number = 40_000_000_000 + household * 100 + basket
            for product in source.sample(_PRODUCTS, k=source.randrange(1, 5)):
                quantity = 0 if source.random() < 0.01 else source.randrange(1, 4)
                value = product[4] * quantity / 100
                yield household, number, product[0], quantity, value, 45 + day // 7, start
