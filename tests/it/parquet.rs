//! Parquet of every type that registries' tools write.

use std::fs;

use polars::prelude::{
    Categories, Column, DataFrame, DataType, FrozenCategories, NamedFrom, ParquetReader,
    ParquetWriter, SerReader, Series, TimeUnit, TimeZone,
};

use crate::{
    files::{SITE, STUDY, Small},
    pooling::path,
};

/// Every type that the writers of Parquet have, as a date or a code; `parquet_types.py` wrote the files.
#[test]
fn parquet_of_every_type_is_read() {
    for writer in ["pyarrow", "duckdb"] {
        let file = path(&format!("tests/reference/parquet_{writer}.parquet"));
        let frame = ParquetReader::new(fs::File::open(&file).unwrap()).finish().unwrap();
        types(&file, &frame, 11);
    }
}

/// The same with polars, whose own types are more than other writers'.
#[test]
fn parquet_as_polars_writes_it_is_read() {
    let codes: Vec<Option<i64>> = (0..12).map(|i| (i < 11).then_some(i % 2 + 1)).collect();
    let codes = Column::new("code".into(), codes);
    // 2001-05-03 is day 11,445.
    let days: Vec<Option<i64>> = (0..12).map(|i| (i < 11).then_some(11_445 + 31 * i)).collect();
    let times = |per_day: i64, plus: i64| {
        let times: Vec<Option<i64>> = days.iter().map(|d| d.map(|d| d * per_day + plus)).collect();
        Column::new("time".into(), times)
    };
    let text = codes.cast(&DataType::String).unwrap();
    let enumerated = DataType::from_frozen_categories(FrozenCategories::new(["1", "2"]).unwrap());
    let ids: Vec<String> = (0..12).map(|i| format!("P{i}")).collect();
    let mut columns = vec![Column::new("id".into(), ids)];
    let mut add = |name: &str, column: &Column, kind: &DataType| {
        columns.push(column.strict_cast(kind).unwrap().with_name(name.into()));
    };
    for kind in [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Int128,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
        DataType::String,
    ] {
        add(&format!("c_{kind}"), &codes, &kind);
    }
    add("decimal", &codes, &DataType::Decimal(20, 3));
    add("category", &text, &DataType::from_categories(Categories::global()));
    add("enumerated", &text, &enumerated);
    add("bytes", &text, &DataType::Binary);
    add(
        "date",
        &Column::new("d".into(), days.iter().map(|d| d.map(|d| d as i32)).collect::<Vec<_>>()),
        &DataType::Date,
    );
    let paris = TimeZone::opt_try_new(Some("Europe/Paris")).unwrap();
    for (unit, second) in [
        (TimeUnit::Milliseconds, 1_000),
        (TimeUnit::Microseconds, 1_000_000),
        (TimeUnit::Nanoseconds, 1_000_000_000),
    ] {
        let late = times(86_400 * second, 86_399 * second);
        add(&format!("stamp_{unit:?}"), &late, &DataType::Datetime(unit, None));
        add(&format!("stamp_utc_{unit:?}"), &late, &DataType::Datetime(unit, Some(TimeZone::UTC)));
        // Half past midnight in summer, half past one in winter; in UTC it is still the day before.
        let early = times(86_400 * second, -1_800 * second);
        add(&format!("stamp_paris_{unit:?}"), &early, &DataType::Datetime(unit, paris.clone()));
    }
    let duration: Vec<Option<i64>> =
        (0..12).map(|i| (i < 11).then_some((i % 2 + 1) * 86_400_000)).collect();
    add(
        "difftime",
        &Column::new("d".into(), duration),
        &DataType::Duration(TimeUnit::Milliseconds),
    );
    let noon = (0..12).map(|i| (i < 11).then_some(45_000_000_000_000_i64)).collect::<Vec<_>>();
    add("time", &Column::new("t".into(), noon), &DataType::Time);
    let second = (0..12).map(|i| (i < 11).then_some(i % 2 == 1)).collect::<Vec<_>>();
    add("boolean", &Column::new("b".into(), second), &DataType::Boolean);
    columns.push(Column::full_null("nothing".into(), 12, &DataType::Null));
    let of_one = Series::new("x".into(), [1_i64]);
    columns.push(Column::new("list".into(), vec![of_one; 12]));
    let mut frame = DataFrame::new(12, columns).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("polars.parquet");
    ParquetWriter::new(fs::File::create(&file).unwrap()).finish(&mut frame).unwrap();
    types(&file, &frame, 11);
}

/// A mapping of all columns: days as dates, codes as whole numbers, and the expected first and last of each.
fn types(file: &std::path::Path, frame: &DataFrame, known: usize) {
    let mut dictionary =
        "[dictionary.id]\ntype = \"text\"\nlabel = \"Id\"\nrequired = true\nidentifier = true\n"
            .to_owned();
    let mut mapping =
        "[file]\ndate_format = \"%d.%m.%Y\"\ndecimal = \",\"\n[columns]\nid = \"id\"\n".to_owned();
    let mut wanted = Vec::new();
    for column in frame.columns() {
        let name = column.name().as_str();
        let is_day = ["date", "stamp"].iter().any(|word| name.starts_with(word));
        let (kind, more, known) = match name {
            "id" | "list" | "struct" | "uuid" => continue,
            "nothing" => ("text", "", 0),
            "time" => ("text", "pattern = \"^12:30:00\"", known),
            "boolean" => ("flag", "", known),
            _ if is_day => ("date", "", known),
            "difftime" => ("days", "range = [1, 2]", known),
            _ => ("category", "levels = [\"1\", \"2\"]", known),
        };
        dictionary.push_str(&format!(
            "[dictionary.{name}]\ntype = \"{kind}\"\nlabel = \"{name}\"\n{more}\n"
        ));
        mapping.push_str(&format!("{name} = \"{name}\"\n"));
        if is_day {
            // The first of the eleven days, and how far the last one is.
            dictionary.push_str(&format!(
                "[dictionary.from_{name}]\ntype = \"integer\"\nlabel = \"x\"\nrange = [0, 310]\nderive = {{ days_between = [\"start\", \"{name}\"] }}\n\
                 [dictionary.to_{name}]\ntype = \"integer\"\nlabel = \"x\"\nrange = [0, 310]\nderive = {{ days_between = [\"{name}\", \"end\"] }}\n"
            ));
            wanted.push((format!("from_{name}"), known));
            wanted.push((format!("to_{name}"), known));
        }
        wanted.push((name.to_owned(), known));
    }
    dictionary.push_str("[dictionary.start]\ntype = \"date\"\nlabel = \"Start\"\n[dictionary.end]\ntype = \"date\"\nlabel = \"End\"\n");
    mapping.push_str("[constants]\nstart = \"2001-05-03\"\nend = \"2002-03-09\"\n");
    let small = Small::new(&dictionary, &mapping, "");
    small.write("S1/site.toml", &SITE.replace("data.csv", "data.parquet"));
    fs::copy(file, small.file("S1/data.parquet")).unwrap();
    let said = small.says(0, &["records mapped    12"], "");
    for (name, known) in wanted {
        let words = [name.as_str(), &known.to_string()];
        assert!(
            said.lines().any(|l| l.split_whitespace().take(2).eq(words)),
            "{name} {known}:\n{said}"
        );
        if said.contains(&format!("{name} "))
            && dictionary.contains(&format!("[dictionary.{name}]\ntype = \"category\""))
        {
            let line = said.lines().find(|l| l.split_whitespace().next() == Some(&name)).unwrap();
            assert!(line.ends_with("1: 6, 2: 5"), "{line}");
        }
    }
    // A column without text is refused only if the mapping asks for it.
    small.write(
        "study.toml",
        &format!("{STUDY}{dictionary}[dictionary.list]\ntype = \"text\"\nlabel = \"List\"\n"),
    );
    small.write("S1/mapping.toml", &mapping.replace("[constants]", "list = \"list\"\n[constants]"));
    small.says(2, &["column `list` of data.parquet contains list", "store plain values"], "");
}
