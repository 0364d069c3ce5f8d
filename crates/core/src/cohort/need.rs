//! What a model asks of each site: columns, and what it tells apart in them.

use std::ops::RangeInclusive;

/// A column that a model asks of each site, and one use that it makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnNeed {
    /// Variable of the dictionary.
    pub name: String,
    /// What the model does with it.
    pub used: Used,
}

/// A use of a column. What it tells apart must fall on the variable's grain, which is judged from here, for every model alike.
#[derive(Debug, Clone, PartialEq)]
pub enum Used {
    /// In sums, as a number or a day.
    Number,
    /// As the number of cases that a record stands for: its values are counted as persons are.
    Cases,
    /// Each level apart from the others.
    Levels,
    /// Some levels, taken together, apart from the others.
    Chosen {
        /// The levels.
        levels: Vec<String>,
        /// Option that names them, as a JSON pointer.
        at: String,
    },
    /// What lies from a place on, apart from what lies below it.
    Parted {
        /// The places.
        places: Places,
        /// Option that names them, as a JSON pointer.
        at: String,
    },
}

/// Places at which a column is parted.
#[derive(Debug, Clone, PartialEq)]
pub enum Places {
    /// Values in the variable's own unit.
    Values(Vec<f64>),
    /// Ages in completed years, whatever the variable's unit.
    Ages(Vec<f64>),
    /// First days of calendar years.
    Years(Vec<i32>),
    /// Days since 1970-01-01.
    Days(Vec<i32>),
}

impl Places {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) | Self::Ages(values) => values.len(),
            Self::Years(places) | Self::Days(places) => places.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ColumnNeed {
    /// A variable with levels, each apart from the others.
    pub fn levels(name: impl Into<String>) -> Self {
        Self { name: name.into(), used: Used::Levels }
    }

    /// A number, or a day, that enters sums.
    pub fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), used: Used::Number }
    }

    /// The number of cases that a record stands for.
    pub fn cases(name: impl Into<String>) -> Self {
        Self { name: name.into(), used: Used::Cases }
    }

    /// A variable of which some levels are taken together; the option `at` names them.
    pub fn chosen(name: impl Into<String>, levels: &[String], at: impl Into<String>) -> Self {
        let used = Used::Chosen { levels: levels.to_vec(), at: at.into() };
        Self { name: name.into(), used }
    }

    /// A variable of which each of some levels is told apart; the option `at` lists them.
    pub fn each(name: &str, levels: &[String], at: &str) -> Vec<Self> {
        let one = |(i, level): (usize, &String)| {
            Self::chosen(name, std::slice::from_ref(level), format!("{at}/{i}"))
        };
        levels.iter().enumerate().map(one).collect()
    }

    /// A variable parted at `places`, which the option `at` names.
    pub fn parted(name: impl Into<String>, places: Places, at: impl Into<String>) -> Self {
        Self { name: name.into(), used: Used::Parted { places, at: at.into() } }
    }

    /// A variable of which each calendar year is told apart; the option `at` names the first and the last.
    pub fn years(name: impl Into<String>, years: [i32; 2], at: impl Into<String>) -> Self {
        let each: RangeInclusive<i32> = years[0]..=years[1].saturating_add(1);
        Self::parted(name, Places::Years(each.collect()), at)
    }
}
