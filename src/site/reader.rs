//! Reads a data file as text columns. Delimited text is decoded from its declared encoding first; Parquet columns of any type
//! become text, dates in ISO form.

use std::{collections::BTreeMap, fs, io::Cursor, path::Path};

use encoding_rs::Encoding;
use polars::prelude::{
    CsvParseOptions, CsvReadOptions, DataFrame, DataType, ParquetReader, SerReader,
};

use super::folder::SiteError;

/// Columns of a file as text; `None` where a cell is empty.
#[derive(Debug)]
pub struct RawTable {
    /// Rows.
    pub rows: usize,
    /// Columns by name.
    pub columns: BTreeMap<String, Vec<Option<String>>>,
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

/// Reads `path`: Parquet by its ending, else delimited text in `format`.
pub(super) fn read(path: &Path, format: &TextFormat) -> Result<RawTable, SiteError> {
    let is_parquet = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet"));
    let frame = if is_parquet { read_parquet(path)? } else { read_text(path, format)? };
    let mut columns = BTreeMap::new();
    for column in frame.columns() {
        let name = column.name().trim().trim_start_matches('\u{feff}').to_owned();
        // A failed cast would be a type that has no text form, such as a nested list.
        let not_text = |_| {
            error(path, format!("column `{name}` cannot be read as text"), "store plain values")
        };
        let text = column.cast(&DataType::String).map_err(not_text)?;
        let text = text.str().map_err(|_| {
            error(path, format!("column `{name}` is not text"), "store plain values")
        })?;
        let cells = text
            .iter()
            .map(|cell| cell.map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned))
            .collect();
        columns.insert(name, cells);
    }
    let rows = frame.height();
    if columns.is_empty() || rows == 0 {
        return Err(error(
            path,
            "the file holds no records",
            "a header line and at least one record are wanted",
        ));
    }
    Ok(RawTable { rows, columns })
}

fn read_parquet(path: &Path) -> Result<DataFrame, SiteError> {
    let file = fs::File::open(path)
        .map_err(|e| error(path, e.to_string(), "check the path in site.toml"))?;
    // The reason is told without polars' text, which may quote cells.
    ParquetReader::new(file).finish().map_err(|_| {
        let hint = "it may be cut off or of another format: export it again";
        error(path, "the file is not readable as Parquet", hint)
    })
}

fn read_text(path: &Path, format: &TextFormat) -> Result<DataFrame, SiteError> {
    let bytes =
        fs::read(path).map_err(|e| error(path, e.to_string(), "check the path in site.toml"))?;
    let label = &format.encoding;
    let Some(encoding) = Encoding::for_label(label.as_bytes()) else {
        let hint = "write encoding = \"utf-8\" or \"iso-8859-1\" under [file] of the mapping";
        return Err(error(path, format!("the encoding `{label}` is not known"), hint));
    };
    let (text, _, broken) = encoding.decode(&bytes);
    if broken {
        let place = std::str::from_utf8(&bytes).err().map_or(0, |e| e.valid_up_to());
        let line = bytes[..place].split(|b| *b == b'\n').count();
        let hint =
            "write the file's own encoding under [file] of the mapping, such as \"iso-8859-1\"";
        return Err(error(path, format!("line {line} is not valid {label}"), hint));
    }
    if text.trim().is_empty() {
        return Err(error(
            path,
            "the file is empty",
            "a header line and at least one record are wanted",
        ));
    }
    let parse = CsvParseOptions::default()
        .with_separator(format.delimiter)
        .with_quote_char(Some(b'"'))
        .with_truncate_ragged_lines(false);
    CsvReadOptions::default()
        .with_has_header(true)
        .with_infer_schema_length(Some(0))
        .with_parse_options(parse)
        .into_reader_with_file_handle(Cursor::new(text.as_bytes()))
        .finish()
        .map_err(|_| {
            let reason = format!(
                "the file is not readable as text delimited by {:?}",
                char::from(format.delimiter)
            );
            error(
                path,
                reason,
                "every line needs as many fields as the header; check delimiter and quotes",
            )
        })
}
