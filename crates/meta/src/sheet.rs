//! Comma-separated text with a header, read strictly: what is not as it should be is told with its line.

use super::DataError;

/// First bytes of files that are no text, and what they are.
const OTHERS: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "a spreadsheet (.xlsx, .ods) or another zip archive"),
    (b"\xD0\xCF\x11\xE0", "an Excel workbook (.xls)"),
    (b"PAR1", "a Parquet file"),
    (b"\x1F\x8B", "a compressed file (.gz)"),
    (b"%PDF", "a PDF"),
];

/// Delimiters that are found in place of commas.
const DELIMITERS: [(char, &str); 3] =
    [(';', "semicolons (;)"), ('\t', "tabs"), ('|', "vertical bars (|)")];

/// The text of a file.
///
/// # Errors
/// If it is a spreadsheet or anything else but UTF-8 text.
pub fn text_of(bytes: &[u8]) -> Result<String, DataError> {
    if let Some((_, found)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(DataError::Other { found });
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(DataError::Other { found: "UTF-16 text" });
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let before = &bytes[..error.utf8_error().valid_up_to()];
        DataError::Encoding { line: before.split(|b| *b == b'\n').count() }
    })
}

/// One line of a table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) line: usize,
    cells: Vec<String>,
}

/// A table as it is written.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Row>,
}

impl Row {
    pub(super) fn cell(&self, at: usize) -> &str {
        &self.cells[at]
    }
}

impl Sheet {
    /// Reads text: every line has the fields of the header, and no field runs over several lines.
    pub(super) fn read(text: &str) -> Result<Self, DataError> {
        let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
        let count = |c: char| first.matches(c).count();
        let delimiter = DELIMITERS.iter().find(|(c, _)| count(*c) > count(','));
        if let Some((_, found)) = delimiter {
            return Err(DataError::Delimiter { found });
        }
        let table = |error: csv::Error| DataError::Table { reason: error.to_string() };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text.as_bytes());
        let head: Vec<String> =
            reader.headers().map_err(table)?.iter().map(str::to_owned).collect();
        let twice = |(i, name): &(usize, &String)| !name.is_empty() && head[..*i].contains(*name);
        if let Some((_, name)) = head.iter().enumerate().find(twice) {
            return Err(DataError::Twice { name: name.clone() });
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(table)?;
            // A record begins after the blank lines that the reader passes over.
            let start = record.position().map_or(0, |p| p.byte() as usize);
            let blank = text[start..].bytes().take_while(|b| matches!(b, b'\n' | b'\r')).count();
            let line = text.as_bytes()[..start + blank].split(|b| *b == b'\n').count();
            if record.iter().any(|cell| cell.contains(['\n', '\r'])) {
                return Err(DataError::Quote { line });
            }
            if record.len() != head.len() {
                return Err(DataError::Fields { line, found: record.len(), wanted: head.len() });
            }
            rows.push(Row { line, cells: record.iter().map(str::to_owned).collect() });
        }
        Ok(Self { head, rows })
    }

    /// Position of a column.
    pub(super) fn column(&self, name: &str) -> Result<usize, DataError> {
        let missing = || DataError::Column { name: name.to_owned(), known: self.head.join(", ") };
        self.head.iter().position(|h| h == name).ok_or_else(missing)
    }

    /// What is wrong with a cell.
    pub(super) fn fault(&self, row: &Row, at: usize, wanted: &'static str) -> DataError {
        DataError::Cell {
            line: row.line,
            column: self.head[at].clone(),
            found: row.cell(at).to_owned(),
            wanted,
        }
    }

    /// A finite number.
    pub(super) fn number(
        &self,
        row: &Row,
        at: usize,
        wanted: &'static str,
    ) -> Result<f64, DataError> {
        let found = row.cell(at).parse::<f64>().ok().filter(|x| x.is_finite());
        found.ok_or_else(|| self.fault(row, at, wanted))
    }
}
