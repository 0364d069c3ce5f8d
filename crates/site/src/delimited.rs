//! Splits delimited text into a header and records, counting the fields of every line. Quotation marks follow RFC 4180: a field
//! that starts with one ends with one, and `""` inside it stands for one. No message holds anything that stands in the file.

use std::collections::BTreeMap;

/// Lines named in a message; the rest are counted.
const LINES_NAMED: usize = 10;

/// How fields are told apart. Both are single bytes of ASCII.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    /// Between two fields.
    pub delimiter: u8,
    /// Around a field; none where the file does not use quotation marks.
    pub quote: Option<u8>,
}

/// A file that was split.
#[derive(Debug)]
pub(super) struct Split {
    /// Cells by column; `None` where nothing but blanks stands. Columns without a name are left out.
    pub columns: BTreeMap<String, Vec<Option<String>>>,
    /// Line on which each record starts.
    pub lines: Vec<usize>,
    /// Lines in which nothing stands: no records.
    pub blank: usize,
    /// First lines of records of which a field goes over several lines.
    pub spread: Vec<usize>,
}

/// Why a file cannot be split, and what to do.
#[derive(Debug)]
pub(super) struct Unsplit {
    pub reason: String,
    pub hint: String,
}

const QUOTES: &str = "close the quotation mark or write it twice, take line breaks out of the field, or write quote = \"\" under [file] \
                      of the mapping if the file uses no quotation marks";
const COUNTS: &str = "every line needs as many fields as the header: look for a delimiter inside a field and for a line that was cut \
                      off, and check `delimiter` under [file] in the mapping";

/// Splits `text`, whose first line that is not blank names the columns.
pub(super) fn split(text: &str, dialect: Dialect) -> Result<Split, Unsplit> {
    let mut cursor = Cursor { text, at: 0, line: 1, dialect, wanted: 0, spread: false };
    cursor.skip_separator_line();
    let mut fields = Vec::new();
    let mut header = loop {
        if cursor.record(&mut fields)?.is_none() {
            let hint = "the file needs a header line and at least one record".into();
            return Err(Unsplit { reason: "the file contains no records".into(), hint });
        }
        if fields.iter().any(|field| !field.is_empty()) {
            break std::mem::take(&mut fields);
        }
    };
    if let Some(first) = header.first_mut() {
        *first = first.trim_start_matches('\u{feff}').trim().to_owned();
    }
    undivided(&header, dialect)?;
    unique(&header)?;
    cursor.wanted = header.len();
    let mut columns: Vec<Vec<Option<String>>> = header.iter().map(|_| Vec::new()).collect();
    let (mut lines, mut blank, mut spread) = (Vec::new(), 0, Vec::new());
    let mut counts = Counts::default();
    while let Some(line) = cursor.record(&mut fields)? {
        if fields.iter().all(String::is_empty) {
            blank += 1;
            continue;
        }
        counts.add(line, &fields, &header);
        if cursor.spread {
            spread.push(line);
        }
        lines.push(line);
        let mut cells = fields.drain(..);
        for column in &mut columns {
            column.push(cells.next().filter(|cell| !cell.is_empty()));
        }
    }
    counts.check(header.len())?;
    let named = header.into_iter().zip(columns).filter(|(name, _)| !name.is_empty());
    Ok(Split { columns: named.collect(), lines, blank, spread })
}

/// A first line that is one column and holds another delimiter is divided by that one.
fn undivided(header: &[String], dialect: Dialect) -> Result<(), Unsplit> {
    let [only] = header else { return Ok(()) };
    let mut others =
        [';', '\t', ',', '|'].into_iter().filter(|d| *d != char::from(dialect.delimiter));
    let Some(other) = others.find(|d| only.contains(*d)) else { return Ok(()) };
    let delimiter = char::from(dialect.delimiter).to_string();
    let other = other.to_string();
    let reason = format!("the first line is not divided by {delimiter:?}, but holds {other:?}");
    let hint = format!(
        "write delimiter = {other:?}, for records under [file] of the mapping, for another table beside its path in site.toml"
    );
    Err(Unsplit { reason, hint })
}

/// Two columns of one name would be read as one of them. They are told by their places: in a file without a header the first
/// line is a record.
pub(super) fn unique(header: &[String]) -> Result<(), Unsplit> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, name) in header.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if let Some(first) = seen.insert(name, i) {
            let reason = format!("columns {} and {} have the same name", first + 1, i + 1);
            let hint = "every column needs a unique name in the first line; leading and trailing blanks are ignored".into();
            return Err(Unsplit { reason, hint });
        }
    }
    Ok(())
}

/// Records by how their number of fields compares with the header's.
#[derive(Default)]
struct Counts {
    equal: usize,
    /// One more, and the last one is empty: the line ends with the delimiter.
    ended: Vec<(usize, usize)>,
    /// One fewer, where the header ends with the delimiter.
    unended: Vec<(usize, usize)>,
    wrong: Vec<(usize, usize)>,
}

impl Counts {
    fn add(&mut self, line: usize, fields: &[String], header: &[String]) {
        let (found, wanted) = (fields.len(), header.len());
        let is_empty = |cells: &[String]| cells.last().is_some_and(String::is_empty);
        if found == wanted {
            self.equal += 1;
        } else if found == wanted + 1 && is_empty(fields) {
            self.ended.push((line, found));
        } else if found + 1 == wanted && is_empty(header) {
            self.unended.push((line, found));
        } else {
            self.wrong.push((line, found));
        }
    }

    /// A delimiter at the end of all lines is a way to write a file; at the end of some, it may be a field too many.
    fn check(mut self, wanted: usize) -> Result<(), Unsplit> {
        let kinds = usize::from(self.equal > 0)
            + usize::from(!self.ended.is_empty())
            + usize::from(!self.unended.is_empty());
        if kinds > 1 {
            self.wrong.append(&mut self.ended);
            self.wrong.append(&mut self.unended);
        }
        self.wrong.sort_unstable();
        let Some((line, found)) = self.wrong.first() else { return Ok(()) };
        let mut reason = match wanted {
            1 => format!("line {line} has {found} fields, but the header has 1 column"),
            _ => format!("line {line} has {found} fields, but the header has {wanted} columns"),
        };
        let rest = &self.wrong[1..];
        if !rest.is_empty() {
            let named: Vec<String> =
                rest.iter().take(LINES_NAMED).map(|(line, _)| line.to_string()).collect();
            let more = if rest.len() > LINES_NAMED { ", …" } else { "" };
            let (n, named) = (rest.len(), named.join(", "));
            reason =
                format!("{reason}; {n} more lines have a wrong number of fields ({named}{more})");
        }
        Err(Unsplit { reason, hint: COUNTS.into() })
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Line of `at`, from 1.
    line: usize,
    dialect: Dialect,
    /// Columns of the header; 0 while it is read.
    wanted: usize,
    /// Whether a field of the last record went over several lines.
    spread: bool,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over the end of a line, written as `\n`, `\r\n` or `\r`; `false` if there is none here.
    fn line_end(&mut self) -> bool {
        let step = match (self.peek(), self.text.as_bytes().get(self.at + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r' | b'\n'), _) => 1,
            _ => return false,
        };
        self.at += step;
        self.line += 1;
        true
    }

    /// Spreadsheet programs write `sep=;` above the header.
    fn skip_separator_line(&mut self) {
        let start = self.text.strip_prefix('\u{feff}').unwrap_or(self.text);
        let line = start.split(['\n', '\r']).next().unwrap_or_default().trim();
        let is_separator = line.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("sep="))
            && line[4..].chars().count() <= 1;
        if is_separator {
            self.at = self.text.len() - start.len();
            while !self.line_end() && self.at < self.text.len() {
                self.at += 1;
            }
        }
    }

    /// Reads the next record into `fields`, blanks around them taken off; gives its line, or `None` at the end of the file.
    fn record(&mut self, fields: &mut Vec<String>) -> Result<Option<usize>, Unsplit> {
        fields.clear();
        self.spread = false;
        if self.at >= self.text.len() {
            return Ok(None);
        }
        let line = self.line;
        loop {
            let field = self.field()?;
            fields.push(field);
            if self.peek() == Some(self.dialect.delimiter) {
                self.at += 1;
            } else {
                self.line_end();
                return Ok(Some(line));
            }
        }
    }

    fn field(&mut self) -> Result<String, Unsplit> {
        let Dialect { delimiter, quote } = self.dialect;
        let is_blank = |byte: u8| (byte == b' ' || byte == b'\t') && byte != delimiter;
        let start = self.at;
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
        if quote.is_some() && self.peek() == quote {
            return self.quoted();
        }
        while self.peek().is_some_and(|b| b != delimiter && b != b'\n' && b != b'\r') {
            self.at += 1;
        }
        Ok(self.text[start..self.at].trim().to_owned())
    }

    /// A field in quotation marks, the first of which stands here.
    fn quoted(&mut self) -> Result<String, Unsplit> {
        let Dialect { delimiter, quote } = self.dialect;
        let opened = self.line;
        self.at += 1;
        let start = self.at;
        let mut doubled = false;
        let end = loop {
            match self.peek() {
                None => {
                    let reason = format!("line {opened}: a quoted field is opened and not closed");
                    return Err(Unsplit { reason, hint: QUOTES.into() });
                }
                byte if byte == quote => {
                    self.at += 1;
                    if self.peek() == quote {
                        doubled = true;
                        self.at += 1;
                    } else {
                        break self.at - 1;
                    }
                }
                Some(_) => {
                    if !self.line_end() {
                        self.at += 1;
                    }
                }
            }
        };
        while self.peek().is_some_and(|b| (b == b' ' || b == b'\t') && b != delimiter) {
            self.at += 1;
        }
        let closed = self.line;
        if self.peek().is_some_and(|b| b != delimiter && b != b'\n' && b != b'\r') {
            let reason = if closed == opened {
                format!("line {opened}: text follows the closing quotation mark of a field")
            } else {
                format!(
                    "line {opened}: a quoted field is closed on line {closed}, where text follows the closing quotation mark"
                )
            };
            return Err(Unsplit { reason, hint: QUOTES.into() });
        }
        let inner = &self.text[start..end];
        if closed > opened {
            self.spread = true;
            if self.swallows(inner) {
                let reason = format!(
                    "line {opened}: a quoted field is closed on line {closed}, and the text in between looks like records"
                );
                return Err(Unsplit { reason, hint: QUOTES.into() });
            }
        }
        let text = match quote.filter(|_| doubled).map(char::from) {
            Some(mark) => inner.replace(&format!("{mark}{mark}"), &mark.to_string()),
            None => inner.to_owned(),
        };
        Ok(text.trim().to_owned())
    }

    /// Whether a line inside a field has as many fields as the header: then the field has most likely swallowed a record.
    fn swallows(&self, inner: &str) -> bool {
        if self.wanted < 2 {
            return false;
        }
        let delimiter = char::from(self.dialect.delimiter);
        let lines: Vec<&str> = inner.split(['\n', '\r']).collect();
        let Some((last, before)) = lines.split_last() else { return false };
        let between =
            before.iter().skip(1).any(|l| l.matches(delimiter).count() + 1 == self.wanted);
        let inside = last.matches(delimiter).count();
        let rest = self.text[self.at..].split(['\n', '\r']).next().unwrap_or_default();
        between || (inside > 0 && inside + rest.matches(delimiter).count() + 1 == self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMA: Dialect = Dialect { delimiter: b',', quote: Some(b'"') };

    fn column(text: &str, name: &str) -> Vec<String> {
        let split = split(text, COMMA).unwrap();
        split.columns[name].iter().map(|c| c.clone().unwrap_or_else(|| "–".into())).collect()
    }

    fn refused(text: &str) -> String {
        let said = split(text, COMMA).unwrap_err();
        format!("{}; {}", said.reason, said.hint)
    }

    #[test]
    fn records_know_their_line_after_quoted_line_breaks_and_blank_lines() {
        let text = "a,b\n1,\"x\ny\"\r\n\n2,\"say \"\"no\"\"\"\n , \n3, \"z\" \n";
        let found = split(text, COMMA).unwrap();
        assert_eq!(found.lines, [2, 5, 7]);
        assert_eq!((found.blank, found.spread.as_slice()), (2, [2].as_slice()));
        assert_eq!(column(text, "b"), ["x\ny", "say \"no\"", "z"]);
    }

    #[test]
    fn every_way_to_end_a_line_gives_the_same_records() {
        for end in ["\n", "\r\n", "\r"] {
            for last in ["", end] {
                let text = ["\u{feff}sep=,", "a,b", "1,2", "3,", ""].join(end) + last;
                assert_eq!(column(&text, "a"), ["1", "3"]);
                assert_eq!(column(&text, "b"), ["2", "–"]);
                assert_eq!(split(&text, COMMA).unwrap().lines, [3, 4]);
            }
        }
    }

    #[test]
    fn a_line_of_another_length_is_named_and_nothing_of_it_shown() {
        assert!(refused("a,b,c\n1,2,3\n4,5\n").contains("line 3 has 2 fields"));
        let said = refused("a,b,c\n1,2,3,77\n1,2,3\n1,77\n1\n");
        assert!(said.contains("line 2 has 4 fields, but the header has 3 columns"), "{said}");
        assert!(said.contains("2 more lines") && said.contains("(4, 5)"), "{said}");
        assert!(!said.contains("77"));
    }

    #[test]
    fn a_delimiter_at_the_end_of_all_lines_is_no_field() {
        let plain = split("a,b\n1,2\n3,4\n", COMMA).unwrap();
        for text in ["a,b,\n1,2,\n3,4,\n", "a,b\n1,2,\n3,4,\n", "a,b,\n1,2\n3,4\n"] {
            assert_eq!(split(text, COMMA).unwrap().columns, plain.columns);
        }
        // At the end of one line it may be a field too many, in front of which all have moved.
        assert!(refused("a,b\n1,2\n3,4,\n").contains("line 3 has 3 fields"));
    }

    #[test]
    fn two_columns_of_one_name_are_refused_by_their_places() {
        for text in ["x,b,x\n1,2,3\n", "x,b,x \n1,2,3\n", "\" x\",b,x\n1,2,3\n"] {
            let said = refused(text);
            assert!(said.contains("columns 1 and 3 have the same name"), "{said}");
            assert!(!said.contains("`x`"));
        }
        assert_eq!(column("\"\",a,\n1,2,3\n", "a"), ["2"]);
    }

    #[test]
    fn quotation_marks_that_swallow_records_are_refused_with_their_lines() {
        let middle = "a,b,n\n1,2,\"Bob\n3,4,x\n5,6,Eve\"\n7,8,y\n";
        let last = "a,b,n\n1,2,\"Bob\n5,6,Eve\"\n7,8,y\n";
        for (text, closed) in [(middle, 4), (last, 3)] {
            let said = refused(text);
            assert!(
                said.contains(&format!("line 2: a quoted field is closed on line {closed}")),
                "{said}"
            );
            assert!(said.contains("looks like records") && !said.contains("Bob"), "{said}");
        }
        assert!(
            refused("a,b\n1,\"x\n2,y\n")
                .contains("line 2: a quoted field is opened and not closed")
        );
        assert!(refused("a,b\n1,\"x\" y\n").contains("line 2: text follows"));
        assert!(refused("a,b\n1,\"x\n2,\"y\"\n").contains("closed on line 3, where text follows"));
        // Inside a field that does not start with one, a mark is a mark.
        assert_eq!(column("a,b\n1,5\" tube\n2,O\"Neil\n", "b"), ["5\" tube", "O\"Neil"]);
        let none = Dialect { delimiter: b',', quote: None };
        let found = split("a,b\n1,\"x\n2,y\"\n", none).unwrap();
        assert_eq!(found.columns["b"], [Some("\"x".to_owned()), Some("y\"".to_owned())]);
    }

    #[test]
    fn free_text_over_several_lines_is_one_field() {
        let text = "a,b,c\n1,\"first\nsecond\n\nthird\",3\n4,5,6\n";
        assert_eq!(column(text, "b"), ["first\nsecond\n\nthird", "5"]);
        assert_eq!(column("a;b\n\"3\n4\";40\n".replace(';', ",").as_str(), "a"), ["3\n4"]);
    }
}
