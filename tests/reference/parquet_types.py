"""Parquet files with a column of every type that registries' tools write, each with the same twelve days and codes.

Run as: python parquet_types.py, with pyarrow and duckdb installed; it writes parquet_pyarrow.parquet and parquet_duckdb.parquet
beside itself. R's arrow writes through the same library as pyarrow: a factor is a dictionary, POSIXct a time stamp with the zone of
the session, difftime a duration in seconds.
"""
import datetime as dt
import decimal
import pathlib
import sys
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent
rows = range(12)
days = [dt.date(2001, 5, 3) + dt.timedelta(days=31 * i) for i in rows]
codes = [i % 2 + 1 for i in rows]
stamps = [dt.datetime(d.year, d.month, d.day) for d in days]
late = [s + dt.timedelta(hours=23, minutes=59) for s in stamps]
paris = [s.replace(tzinfo=ZoneInfo("Europe/Paris")) for s in stamps]
utc = [s.replace(tzinfo=dt.timezone.utc) for s in stamps]


def array(values, kind):
    return pa.array([None if i == 11 else v for i, v in enumerate(values)], type=kind)


columns = {"id": pa.array([f"P{i}" for i in rows])}
columns["date32"] = array(days, pa.date32())
columns["date64"] = array(days, pa.date64())
for unit in ["s", "ms", "us", "ns"]:
    columns[f"stamp_{unit}"] = array(late, pa.timestamp(unit))
columns["stamp_utc"] = array(utc, pa.timestamp("us", tz="UTC"))
columns["stamp_paris"] = array(paris, pa.timestamp("us", tz="Europe/Paris"))
columns["stamp_offset"] = array(
    [s.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))) for s in stamps], pa.timestamp("us", tz="+02:00"))
for kind in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]:
    columns[kind] = array(codes, getattr(pa, kind)())
for kind in ["float16", "float32", "float64"]:
    columns[kind] = array([float(c) for c in codes], getattr(pa, kind)())
columns["decimal128"] = array([decimal.Decimal(c) for c in codes], pa.decimal128(9, 2))
columns["text"] = array([str(c) for c in codes], pa.string())
columns["large_text"] = array([str(c) for c in codes], pa.large_string())
columns["text_view"] = array([str(c) for c in codes], pa.string_view())
columns["bytes"] = array([str(c).encode() for c in codes], pa.binary())
for index in ["int8", "int32"]:
    columns[f"factor_{index}"] = array([str(c) for c in codes], pa.string()).cast(
        pa.dictionary(getattr(pa, index)(), pa.string()))
columns["boolean"] = array([c == 2 for c in codes], pa.bool_())
columns["difftime"] = array([dt.timedelta(days=c) for c in codes], pa.duration("s"))
columns["time"] = array([dt.time(12, 30)] * 12, pa.time64("us"))
columns["nothing"] = pa.nulls(12)
columns["list"] = array([[c] for c in codes], pa.list_(pa.int32()))
columns["struct"] = array([{"a": c} for c in codes], pa.struct([("a", pa.int32())]))
pq.write_table(pa.table(columns), here / "parquet_pyarrow.parquet")

con = duckdb.connect()
con.execute("set timezone = 'Europe/Paris'")
con.execute("create type sex as enum ('1', '2')")
selected = ["'P' || i as id"]
known = "case when i < 11 then {} end"


def add(name, expression):
    selected.append(known.format(expression) + f" as {name}")


add("date", "d")
add("stamp", "d::timestamp + interval 23 hour")
for unit in ["s", "ms", "ns"]:
    add(f"stamp_{unit}", f"(d::timestamp + interval 23 hour)::timestamp_{unit}")
add("stamp_zone", "d::timestamp at time zone 'UTC'")
for kind in ["tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "float", "double"]:
    add(kind, f"(i % 2 + 1)::{kind}")
add("decimal", "(i % 2 + 1)::decimal(9, 2)")
add("decimal_wide", "(i % 2 + 1)::decimal(30, 4)")
add("text", "(i % 2 + 1)::varchar")
add("enum", "(i % 2 + 1)::varchar::sex")
add("bytes", "((i % 2 + 1)::varchar)::blob")
add("boolean", "i % 2 = 1")
add("time", "time '12:30:00'")
add("uuid", "uuid()")
add("list", "[i]")
add("struct", "{'a': i}")
con.execute(f"copy (select {', '.join(selected)} from (select i, (date '2001-05-03' + (31 * i)::integer) as d from range(12) t(i))) "
            f"to '{here / 'parquet_duckdb.parquet'}' (format parquet)")
(here / "parquet_types.txt").write_text(
    f"python {sys.version.split()[0]}, pyarrow {pa.__version__}, duckdb {duckdb.__version__}\n")
