//! Follow-up of the rows: the columns that hold it, and what a survival model reads from them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ColumnNeed, Places};
use crate::limits::YearLength;

/// What becomes of a follow-up of 0 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroRule {
    /// Half a day: an event on the day of diagnosis counts.
    #[default]
    HalfDay,
    /// The person is left out, as Stata's `stset` does.
    Exclude,
    /// Kept at time 0, as R's `survfit` does. Where there is no event without time, as in models of rates and of the distribution of
    /// time, it is half a day.
    AsIs,
}

impl ZeroRule {
    /// Key of the rule in the locale file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HalfDay => "half-day",
            Self::Exclude => "left-out",
            Self::AsIs => "as-is",
        }
    }
}

/// Names the columns of follow-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Followup {
    /// Variable with the time from start to end of follow-up, days.
    pub time: String,
    /// Variable that says whether the event happened at the end.
    pub event: String,
    /// Levels of `event` that are the event, where it has levels, as for one of several causes; none for a flag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_is: Vec<String>,
    /// Variable with the time of late entry, days; none if all are followed from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// What becomes of a follow-up of 0 days.
    #[serde(default)]
    pub zero: ZeroRule,
    /// Calendar days whose follow-up counts, for survival by the period approach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Length of a year, the analysis's.
    #[serde(default, skip_serializing_if = "YearLength::is_julian")]
    #[schemars(skip)]
    pub year: YearLength,
    /// Whether it is the analysis's own and not the model's: there a fault of its is shown.
    #[serde(skip)]
    #[schemars(skip)]
    pub shared: bool,
}

/// Calendar days whose follow-up counts: earlier follow-up becomes late entry, later follow-up is cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Variable with the day on which follow-up starts.
    pub date: String,
    /// First day, such as `2008-01-01`.
    pub from: String,
    /// Last day, such as `2012-12-31`.
    pub to: String,
}

impl Window {
    /// First day and the day after the last, since 1970-01-01; `None` if one of them is no date.
    pub fn days(&self) -> Option<[i32; 2]> {
        Some([epoch_day(&self.from)?, epoch_day(&self.to)? + 1])
    }
}

/// Days from 1970-01-01 to a date written as `2008-01-01`.
pub fn epoch_day(date: &str) -> Option<i32> {
    let date: jiff::civil::Date = date.parse().ok()?;
    Some(date.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days())
}

impl Followup {
    /// The field by which some patients are not followed from time 0, if there is one.
    pub fn late(&self) -> Option<&'static str> {
        let entry = self.entry.as_ref().map(|_| "entry");
        entry.or_else(|| self.window.as_ref().map(|_| "window"))
    }

    /// Columns that follow-up needs.
    pub fn needs(&self) -> Vec<ColumnNeed> {
        let event = if self.event_is.is_empty() {
            ColumnNeed::levels(&self.event)
        } else {
            ColumnNeed::chosen(&self.event, &self.event_is, "/followup/event_is")
        };
        let mut needs = vec![ColumnNeed::number(&self.time), event];
        needs.extend(self.entry.iter().map(ColumnNeed::number));
        if let Some(window) = &self.window {
            let [from, end] = window.days().unwrap_or_default();
            let parted = |day, field| {
                let at = format!("/followup/window/{field}");
                ColumnNeed::parted(&window.date, Places::Days(vec![day]), at)
            };
            needs.extend([parted(from, "from"), parted(end, "to")]);
        }
        needs
    }
}

/// Follow-up of the rows that a survival model uses.
#[derive(Debug, Default)]
pub struct Survival {
    /// Positions of the rows in the cohort.
    pub rows: Vec<usize>,
    /// Day of late entry, or `None` if nobody can enter late.
    pub entry: Option<Vec<i32>>,
    /// Last day of follow-up.
    pub exit: Vec<i32>,
    /// Whether the event happened then.
    pub event: Vec<bool>,
    /// Rows left out because a needed value is missing.
    pub missing: u64,
    /// Rows left out because they were never at risk (no follow-up under the rule, or entry not before exit).
    pub never_at_risk: u64,
}

impl Survival {
    /// Number of events.
    pub fn events(&self) -> u64 {
        self.event.iter().filter(|e| **e).count() as u64
    }
}
