//! How a file writes its numbers and dates, and how they are read.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::spec::Fault;

use super::reader::RawTable;

/// A number with a point where the decimal sign is the comma: it may be a thousand times as large as it looks.
pub(super) const AMBIGUOUS_NUMBER: &str = "contains a point, but the decimal sign is a comma";

pub(super) const NOT_THE_DATE_FORM: &str =
    "is not a date in the form that [file] date_format gives";

/// How the file is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileFormat {
    /// Name of the file the mapping was written for; `site.toml` says which one is read.
    pub(super) path: Option<String>,
    /// Encoding of delimited text.
    pub(super) encoding: String,
    /// Field delimiter.
    pub(super) delimiter: String,
    /// Mark around a field that holds a delimiter or a line break; empty where the file uses none.
    pub(super) quote: String,
    /// Decimal sign of numbers.
    pub(super) decimal: String,
    /// Sign between groups of three digits, where numbers are written with one.
    pub(super) thousands: Option<String>,
    /// Form of dates (strftime).
    pub(super) date_format: String,
    /// First of the hundred years in which two-digit years (`%y`) lie.
    pub(super) two_digit_years_from: Option<i16>,
    /// Cells that mean "not known".
    pub(super) missing: Vec<String>,
}

impl FileFormat {
    pub(super) fn check(&self, faults: &mut Vec<Fault>) {
        if self.delimiter.len() != 1 {
            let message = "the delimiter must be one character, such as \";\" or \"\\t\"";
            faults.push(Fault::new("/file/delimiter", message));
        }
        if self.quote.len() > 1 || self.quote == self.delimiter {
            let message =
                "the quotation mark must be one character, or empty if the file uses none";
            let fault = Fault::new("/file/quote", message);
            faults.push(
                fault.hint("with quote = \"\", quotation marks are read as ordinary characters"),
            );
        }
        if self.decimal != "." && self.decimal != "," {
            let message =
                format!("the decimal sign must be \".\" or \",\", found {:?}", self.decimal);
            faults.push(Fault::new("/file/decimal", message));
        }
        if let Some(sign) = &self.thousands {
            let is_sign =
                sign.chars().count() == 1 && !sign.contains(|c: char| c.is_alphanumeric());
            if !is_sign || *sign == self.decimal || sign == "-" {
                let message =
                    "the thousands separator must be one character, other than the decimal sign";
                let hint =
                    "thousands = \".\" beside decimal = \",\"; leave it out if there is none";
                faults.push(Fault::new("/file/thousands", message).hint(hint));
            }
        }
        if !self.gives_dates_back() {
            let message =
                format!("{:?} is not a form from which a date can be read", self.date_format);
            let hint = "give day, month and year as they stand in the file, such as \"%d.%m.%Y\" for 31.12.1999";
            faults.push(Fault::new("/file/date_format", message).hint(hint));
        } else if self.has_two_digit_years() && self.two_digit_years_from.is_none() {
            let message = "two-digit years do not show the century";
            let hint = "write two_digit_years_from = 1925 under [file] if they are those of 1925 to 2024; a column with years of four \
                        digits is safer";
            faults.push(Fault::new("/file/date_format", message).hint(hint));
        }
    }

    /// Whether a date that is written in the form of dates can be read from it. Times of day may stand beside it.
    fn gives_dates_back(&self) -> bool {
        let noon =
            jiff::civil::date(1999, 12, 31).at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC);
        let Ok(noon) = noon else { return false };
        let written = jiff::fmt::strtime::format(&self.date_format, &noon);
        let read = written.and_then(|text| Date::strptime(&self.date_format, text));
        read.is_ok_and(|date| date == noon.date())
    }

    /// Whether `%y`, or a form that contains it, stands in the form of dates.
    fn has_two_digit_years(&self) -> bool {
        let mut chars = self.date_format.chars();
        while let Some(c) = chars.next() {
            if c == '%' {
                let is_flag = |c: &char| "-_0^#".contains(*c) || c.is_ascii_digit();
                let directive = chars.by_ref().find(|c| !is_flag(c));
                if matches!(directive, Some('y' | 'D' | 'g' | 'x')) {
                    return true;
                }
            }
        }
        false
    }

    pub(super) fn date(&self, text: &str, typed: Typed) -> Result<Date, &'static str> {
        if typed.is_date {
            return text.parse().map_err(|_| "is not a date");
        }
        let date = Date::strptime(&self.date_format, text).map_err(|_| NOT_THE_DATE_FORM)?;
        match self.two_digit_years_from {
            Some(from) if self.has_two_digit_years() => {
                let year = from + (date.year() - from).rem_euclid(100);
                Date::new(year, date.month(), date.day()).map_err(|_| NOT_THE_DATE_FORM)
            }
            _ => Ok(date),
        }
    }

    /// A number in Rust's own form.
    pub(super) fn number(&self, text: String, typed: Typed) -> Result<String, &'static str> {
        if typed.is_number {
            return Ok(text);
        }
        let Self { decimal, thousands, .. } = self;
        let text = match thousands {
            Some(sign) => ungrouped(&text, sign, decimal).ok_or("is not a number")?,
            None => text,
        };
        if decimal != "," {
            return Ok(text);
        }
        if text.contains('.') && text.parse::<f64>().is_ok() {
            return Err(AMBIGUOUS_NUMBER);
        }
        if text.contains('.') { Err("is not a number") } else { Ok(text.replace(',', ".")) }
    }
}

impl Default for FileFormat {
    fn default() -> Self {
        Self {
            path: None,
            encoding: "utf-8".into(),
            delimiter: ",".into(),
            quote: "\"".into(),
            decimal: ".".into(),
            thousands: None,
            date_format: "%Y-%m-%d".into(),
            two_digit_years_from: None,
            missing: vec![String::new()],
        }
    }
}

/// What a cell holds by the type of its column, where the file has types.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Typed {
    pub(super) is_number: bool,
    pub(super) is_date: bool,
}

impl Typed {
    pub(super) fn of(table: &RawTable, column: &str) -> Self {
        Self { is_number: table.is_number(column), is_date: table.is_date(column) }
    }
}

/// Takes the signs between groups of three digits out; `None` if they stand elsewhere.
fn ungrouped(text: &str, sign: &str, decimal: &str) -> Option<String> {
    let (whole, fraction) = match text.split_once(decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = whole.trim_start_matches(['-', '+']);
    let mut groups = digits.split(sign);
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let is_group = |g: &str, widths: std::ops::RangeInclusive<usize>| {
        widths.contains(&g.len()) && g.bytes().all(|b| b.is_ascii_digit())
    };
    let is_grouped = is_group(first, 1..=3) && rest.iter().all(|g| is_group(g, 3..=3));
    if !rest.is_empty() && !is_grouped || fraction.is_some_and(|f| f.contains(sign)) {
        return None;
    }
    Some(text.replace(sign, ""))
}
