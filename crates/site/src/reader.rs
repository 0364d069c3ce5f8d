//! Reads a data file as text columns. Delimited text is decoded from its declared encoding first; Parquet columns of any plain type
//! become text: dates and time stamps as their day in ISO form, whole numbers without a decimal point, durations in days.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use encoding_rs::{Encoding, UTF_8};
use polars::prelude::{Column, DataType, ParquetReader, SerReader, TimeUnit};

use super::{
    delimited::{Dialect, split, unique},
    folder::SiteError,
};

/// Columns of a file as text; `None` where a cell is empty.
#[derive(Debug)]
pub struct RawTable {
    /// Rows.
    pub rows: usize,
    /// Columns by name.
    pub columns: BTreeMap<String, Vec<Option<String>>>,
    /// Line on which each record starts; none in a file that has no lines.
    lines: Option<Vec<usize>>,
    /// Columns that hold numbers in Rust's own form, whatever the file's decimal sign.
    numbers: BTreeSet<String>,
    /// Columns that hold dates in ISO form, whatever the file's form of dates.
    dates: BTreeSet<String>,
    /// Columns that have no text, with what they hold.
    unreadable: BTreeMap<String, String>,
    /// Lines in which nothing stands: no records.
    pub(super) blank: usize,
    /// First lines of records of which a field goes over several lines.
    pub(super) spread: Vec<usize>,
}

impl RawTable {
    /// Where a record stands: its first line, or its number in a file without lines.
    pub(super) fn place(&self, row: usize) -> usize {
        self.lines.as_ref().map_or(row + 1, |lines| lines[row])
    }

    /// What [`Self::place`] counts.
    pub(super) fn unit(&self) -> &'static str {
        if self.lines.is_some() { "line" } else { "record" }
    }

    /// Whether a column holds numbers in Rust's own form.
    pub(super) fn is_number(&self, column: &str) -> bool {
        self.numbers.contains(column)
    }

    /// Whether a column holds dates in ISO form.
    pub(super) fn is_date(&self, column: &str) -> bool {
        self.dates.contains(column)
    }

    /// What a column holds that cannot be read as text.
    pub(super) fn unreadable(&self, column: &str) -> Option<&str> {
        self.unreadable.get(column).map(String::as_str)
    }

    /// Names of the columns for a message about a table that should have those of `expected`. A file that has none of them may have
    /// no header: then its first line is a record, and is not shown.
    pub(super) fn names(&self, expected: &[&str]) -> String {
        if expected.iter().any(|name| self.columns.contains_key(*name)) {
            let known: Vec<&str> = self.columns.keys().map(String::as_str).collect();
            format!("found: {}", known.join(", "))
        } else {
            "the first line does not look like a header".into()
        }
    }
}

/// How a delimited file is written.
#[derive(Debug, Clone)]
pub(super) struct TextFormat {
    /// Encoding label, such as `utf-8` or `iso-8859-1`.
    pub encoding: String,
    /// Field delimiter.
    pub delimiter: u8,
}

fn error(path: &Path, reason: impl Into<String>, hint: &str) -> SiteError {
    SiteError::File { path: path.display().to_string(), reason: reason.into(), hint: hint.into() }
}

/// Reads `path`: Parquet by its ending, else delimited text in `format` with the usual quotation marks.
pub(super) fn read(path: &Path, format: &TextFormat) -> Result<RawTable, SiteError> {
    read_quoted(path, format, Some(b'"'))
}

/// Reads `path` with the quotation mark that the file uses.
pub(super) fn read_quoted(
    path: &Path,
    format: &TextFormat,
    quote: Option<u8>,
) -> Result<RawTable, SiteError> {
    let is_parquet = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet"));
    let table = if is_parquet { read_parquet(path)? } else { read_text(path, format, quote)? };
    if table.columns.is_empty() || table.rows == 0 {
        return Err(error(
            path,
            "the file contains no records",
            "the file needs a header line and at least one record",
        ));
    }
    Ok(table)
}

fn read_parquet(path: &Path) -> Result<RawTable, SiteError> {
    let file = fs::File::open(path)
        .map_err(|e| error(path, e.to_string(), "check the path in site.toml"))?;
    // The reason is told without polars' text, which may quote cells. A spoilt file may make it panic.
    let finish = || ParquetReader::new(file).finish().ok();
    let frame = catch_unwind(AssertUnwindSafe(finish)).ok().flatten().ok_or_else(|| {
        let hint = "it may be truncated or in another format: export it again";
        error(path, "the file is not readable as Parquet", hint)
    })?;
    let mut table = RawTable {
        rows: frame.height(),
        columns: BTreeMap::new(),
        lines: None,
        numbers: BTreeSet::new(),
        dates: BTreeSet::new(),
        unreadable: BTreeMap::new(),
        blank: 0,
        spread: Vec::new(),
    };
    let names: Vec<String> = frame.columns().iter().map(|c| c.name().trim().to_owned()).collect();
    unique(&names).map_err(|found| error(path, found.reason, &found.hint))?;
    for (column, name) in frame.columns().iter().zip(names) {
        let Some((cells, holds)) = cells(column) else {
            table.unreadable.insert(name, column.dtype().to_string());
            continue;
        };
        match holds {
            Holds::Text => false,
            Holds::Number => table.numbers.insert(name.clone()),
            Holds::Date => table.dates.insert(name.clone()),
        };
        let cells = cells.into_iter().map(|cell| {
            let cell = cell?;
            let trimmed = cell.trim();
            (!trimmed.is_empty()).then(|| trimmed.to_owned())
        });
        table.columns.insert(name, cells.collect());
    }
    Ok(table)
}

/// What a typed column turned into.
enum Holds {
    Text,
    Number,
    Date,
}

/// Cells of a typed column as text; `None` for what has no text, such as a list.
fn cells(column: &Column) -> Option<(Vec<Option<String>>, Holds)> {
    let text = |column: &Column| -> Option<Vec<Option<String>>> {
        let text = column.cast(&DataType::String).ok()?;
        Some(text.str().ok()?.iter().map(|cell| cell.map(str::to_owned)).collect())
    };
    let counts = || -> Option<Vec<Option<i64>>> {
        let numbers = column.to_physical_repr().cast(&DataType::Int64).ok()?;
        Some(numbers.i64().ok()?.iter().collect())
    };
    let days = |per_day: i64| -> Option<Vec<Option<String>>> {
        let day = |n: i64| i32::try_from(n.div_euclid(per_day)).ok().and_then(iso_day);
        Some(counts()?.into_iter().map(|n| n.and_then(day)).collect())
    };
    Some(match column.dtype() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Int128
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::UInt128 => (text(column)?, Holds::Number),
        // As they are written with the fewest digits: a single 0.1 is 0.1, and 1.0 is 1.
        DataType::Float16 | DataType::Float32 => {
            let numbers = column.cast(&DataType::Float32).ok()?;
            let plain = |x: f32| (!x.is_nan()).then(|| x.to_string());
            (numbers.f32().ok()?.iter().map(|x| x.and_then(plain)).collect(), Holds::Number)
        }
        DataType::Float64 => {
            let plain = |x: f64| (!x.is_nan()).then(|| x.to_string());
            (column.f64().ok()?.iter().map(|x| x.and_then(plain)).collect(), Holds::Number)
        }
        DataType::Decimal(..) => {
            let plain = |x: &str| match x.split_once('.') {
                Some(_) => x.trim_end_matches('0').trim_end_matches('.').to_owned(),
                None => x.to_owned(),
            };
            let texts = text(column)?;
            (texts.iter().map(|x| x.as_deref().map(plain)).collect(), Holds::Number)
        }
        DataType::Date => (days(1)?, Holds::Date),
        DataType::Datetime(unit, None) => (days(per_day(*unit))?, Holds::Date),
        // The day by the clock of the time zone: midnight in Paris is still the day before in UTC.
        zoned @ DataType::Datetime(_, Some(_)) => {
            let local = text(&column.cast(zoned).ok()?)?;
            let day = |text: String| text.get(..10).map(str::to_owned);
            (local.into_iter().map(|x| x.and_then(day)).collect(), Holds::Date)
        }
        DataType::Duration(unit) => {
            let in_days = |n: i64| (n as f64 / per_day(*unit) as f64).to_string();
            (counts()?.into_iter().map(|n| n.map(in_days)).collect(), Holds::Number)
        }
        // Some writers store text as bytes.
        DataType::Binary | DataType::BinaryOffset => {
            let bytes = column.cast(&DataType::Binary).ok()?;
            let read = |cell: Option<&[u8]>| match cell.map(std::str::from_utf8) {
                None => Some(None),
                Some(Ok(text)) => Some(Some(text.to_owned())),
                Some(Err(_)) => None,
            };
            let texts: Option<Vec<Option<String>>> =
                bytes.binary().ok()?.iter().map(read).collect();
            (texts?, Holds::Text)
        }
        DataType::Null => (vec![None; column.len()], Holds::Text),
        DataType::Boolean
        | DataType::String
        | DataType::Time
        | DataType::Categorical(..)
        | DataType::Enum(..) => (text(column)?, Holds::Text),
        DataType::Array(..) | DataType::List(_) | DataType::Struct(_) | DataType::Unknown(_) => {
            return None;
        }
    })
}

fn per_day(unit: TimeUnit) -> i64 {
    let per_second = match unit {
        TimeUnit::Nanoseconds => 1_000_000_000,
        TimeUnit::Microseconds => 1_000_000,
        TimeUnit::Milliseconds => 1_000,
    };
    86_400 * per_second
}

/// A day since 1970-01-01 in ISO form; days that no calendar has are told as such by what reads them.
fn iso_day(day: i32) -> Option<String> {
    let span = jiff::Span::new().try_days(day).ok()?;
    let date = jiff::civil::date(1970, 1, 1).checked_add(span);
    Some(date.map_or_else(|_| day.to_string(), |date| date.to_string()))
}

fn read_text(path: &Path, format: &TextFormat, quote: Option<u8>) -> Result<RawTable, SiteError> {
    let bytes =
        fs::read(path).map_err(|e| error(path, e.to_string(), "check the path in site.toml"))?;
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        let hint = "export the sheet as text (CSV) and name that file";
        return Err(error(path, "the file is a spreadsheet, not delimited text", hint));
    }
    if bytes.starts_with(b"PAR1") {
        let hint = "give the file the extension .parquet";
        return Err(error(path, "the file is Parquet, not delimited text", hint));
    }
    let label = &format.encoding;
    let Some(encoding) = Encoding::for_label(label.as_bytes()) else {
        let hint = "write encoding = \"utf-8\" or \"iso-8859-1\" under [file] in the mapping";
        return Err(error(path, format!("the encoding `{label}` is unknown"), hint));
    };
    let (text, _, broken) = encoding.decode(&bytes);
    if broken {
        let place = std::str::from_utf8(&bytes).err().filter(|_| encoding == UTF_8);
        let line = place.map(|e| bytes[..e.valid_up_to()].split(|b| *b == b'\n').count());
        let what = line.map_or_else(|| "the file".to_owned(), |line| format!("line {line}"));
        let hint =
            "give the encoding of the file under [file] in the mapping, such as \"iso-8859-1\"";
        return Err(error(path, format!("{what} is not valid {label}"), hint));
    }
    if text.trim().is_empty() {
        return Err(error(
            path,
            "the file is empty",
            "the file needs a header line and at least one record",
        ));
    }
    let dialect = Dialect { delimiter: format.delimiter, quote };
    let found = split(&text, dialect).map_err(|found| error(path, found.reason, &found.hint))?;
    Ok(RawTable {
        rows: found.lines.len(),
        columns: found.columns,
        lines: Some(found.lines),
        numbers: BTreeSet::new(),
        dates: BTreeSet::new(),
        unreadable: BTreeMap::new(),
        blank: found.blank,
        spread: found.spread,
    })
}
