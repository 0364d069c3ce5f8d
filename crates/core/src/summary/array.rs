//! Labelled arrays: the one shape in which every model's statistic travels.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{draft::Draft, release::Hidden};

/// Code of a site, such as `FR` or `XA`: 1 to 16 letters, digits, `-` or `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SiteId(String);

impl SiteId {
    /// Checks the code.
    pub fn new(code: &str) -> Result<Self, LayoutError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if (1..=16).contains(&code.len()) && code.chars().all(allowed) {
            Ok(Self(code.to_owned()))
        } else {
            Err(LayoutError::SiteCode { found: code.to_owned() })
        }
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SiteId {
    type Error = LayoutError;

    fn try_from(code: String) -> Result<Self, LayoutError> {
        Self::new(&code)
    }
}

impl std::fmt::Display for SiteId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One dimension of an array: a name and its levels, in order. An axis of numbered positions is kept, and travels, as their number:
/// what a sender writes in twenty characters takes no more memory here, and a count of cells by days no text for each day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawAxis", into = "RawAxis")]
pub struct Axis {
    /// Name, usually a variable of the dictionary.
    pub name: String,
    levels: Levels,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Levels {
    /// Never those that `Numbered` stands for.
    Named(Vec<String>),
    /// 0, 1, … as text: two or more of them.
    Numbered(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAxis {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    levels: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    positions: Option<usize>,
}

/// Whether `text` is `i` as it is usually written.
fn is_number(text: &str, i: usize) -> bool {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    plain && text.parse() == Ok(i)
}

impl From<Axis> for RawAxis {
    fn from(axis: Axis) -> Self {
        let (levels, positions) = match axis.levels {
            Levels::Named(levels) => (Some(levels), None),
            Levels::Numbered(n) => (None, Some(n)),
        };
        Self { name: axis.name, levels, positions }
    }
}

impl TryFrom<RawAxis> for Axis {
    type Error = LayoutError;

    fn try_from(raw: RawAxis) -> Result<Self, LayoutError> {
        match (raw.levels, raw.positions) {
            (Some(levels), None) => Ok(Self::new(&raw.name, levels)),
            (None, Some(n)) => Ok(Self::numbered(&raw.name, n)),
            _ => Err(LayoutError::Axis { axis: raw.name }),
        }
    }
}

impl Axis {
    /// An axis with these levels.
    pub fn new<S: Into<String>>(name: &str, levels: impl IntoIterator<Item = S>) -> Self {
        let levels: Vec<String> = levels.into_iter().map(Into::into).collect();
        let numbered =
            levels.len() > 1 && levels.iter().enumerate().all(|(i, level)| is_number(level, i));
        let levels = if numbered { Levels::Numbered(levels.len()) } else { Levels::Named(levels) };
        Self { name: name.to_owned(), levels }
    }

    /// An axis of `n` numbered positions.
    pub fn numbered(name: &str, n: usize) -> Self {
        let levels = if n > 1 {
            Levels::Numbered(n)
        } else {
            Levels::Named((0..n).map(|i| i.to_string()).collect())
        };
        Self { name: name.to_owned(), levels }
    }

    /// Number of levels.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks whether an axis has no level")]
    pub fn len(&self) -> usize {
        match &self.levels {
            Levels::Named(levels) => levels.len(),
            Levels::Numbered(n) => *n,
        }
    }

    /// Level `i`, empty beyond the last.
    pub fn level(&self, i: usize) -> Cow<'_, str> {
        match &self.levels {
            Levels::Named(levels) => levels.get(i).map_or("", String::as_str).into(),
            Levels::Numbered(n) => if i < *n { i.to_string() } else { String::new() }.into(),
        }
    }

    /// All levels. Their number may come from elsewhere: they are written out for axes whose length is known or held by cells.
    pub fn levels(&self) -> Vec<String> {
        (0..self.len()).map(|i| self.level(i).into_owned()).collect()
    }
}

/// What the cells are, which is how the gate guards them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Numbers of persons or events.
    Count,
    /// Person-time.
    PersonTime,
    /// Sums of a quantity over persons.
    Sum,
    /// Estimates of a model fitted at the site.
    Estimate,
}

/// How two sites' arrays become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Cell by cell sum.
    Add,
    /// Side by side, with a new first axis `site`; visible per site.
    Stack,
}

/// A dense array with labelled axes, last axis fastest. A cell is `None` where it is hidden.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawArray")]
pub struct Array {
    name: String,
    axes: Vec<Axis>,
    kind: Kind,
    rule: Rule,
    shown: bool,
    cells: Vec<Option<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawArray {
    name: String,
    axes: Vec<Axis>,
    kind: Kind,
    rule: Rule,
    shown: bool,
    cells: Vec<Option<f64>>,
}

/// An array or summary that is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Cells and axes do not fit.
    #[error("array `{array}` has {found} cells, its axes need {wanted}")]
    Cells {
        /// Array.
        array: String,
        /// Cells there.
        found: usize,
        /// Cells wanted.
        wanted: usize,
    },
    /// A cell is not a number.
    #[error("array `{array}` contains a value that is not finite")]
    NotFinite {
        /// Array.
        array: String,
    },
    /// No such array.
    #[error("array `{array}` is missing")]
    Missing {
        /// Array.
        array: String,
    },
    /// A hidden cell where the model needs a number.
    #[error("array `{array}` has withheld cells")]
    HiddenCells {
        /// Array.
        array: String,
    },
    /// An axis of another form.
    #[error("axis `{axis}` needs either levels or a number of positions")]
    Axis {
        /// Axis.
        axis: String,
    },
    /// A site code of another form.
    #[error("site code `{found}`: expected 1 to 16 letters, digits, `-` or `_`")]
    SiteCode {
        /// What was given.
        found: String,
    },
}

/// Number of cells between these axes, unless it is beyond counting.
fn cells_of(axes: &[Axis]) -> Option<usize> {
    axes.iter().try_fold(1_usize, |n, axis| n.checked_mul(axis.len()))
}

impl Array {
    /// An array of finite cells.
    pub fn new(
        name: &str,
        axes: Vec<Axis>,
        kind: Kind,
        rule: Rule,
        cells: Vec<f64>,
    ) -> Result<Self, LayoutError> {
        Self::checked(
            name.to_owned(),
            axes,
            kind,
            rule,
            false,
            cells.into_iter().map(Some).collect(),
        )
    }

    /// Marks the array as one whose pooled cells are printed as they are: the study's floor then holds for them too.
    #[must_use]
    pub fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    pub(super) fn checked(
        name: String,
        axes: Vec<Axis>,
        kind: Kind,
        rule: Rule,
        shown: bool,
        cells: Vec<Option<f64>>,
    ) -> Result<Self, LayoutError> {
        let wanted = cells_of(&axes);
        if wanted != Some(cells.len()) {
            let wanted = wanted.unwrap_or(usize::MAX);
            return Err(LayoutError::Cells { array: name, found: cells.len(), wanted });
        }
        if cells.iter().flatten().any(|x| !x.is_finite()) {
            return Err(LayoutError::NotFinite { array: name });
        }
        Ok(Self { name, axes, kind, rule, shown, cells })
    }

    /// Name, unique within a statistic.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Axes, slowest first.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Levels of the axis called `name`.
    pub fn levels(&self, name: &str) -> Vec<String> {
        self.axes.iter().find(|a| a.name == name).map_or_else(Vec::new, Axis::levels)
    }

    /// What the cells are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How sites become one.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Whether pooled cells are printed as they are.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// All but the cells.
    pub fn layout(&self) -> Layout {
        let Self { name, axes, kind, rule, shown, cells: _ } = self.clone();
        Layout { name, axes, kind, rule, shown }
    }

    /// Cells, last axis fastest.
    pub fn cells(&self) -> &[Option<f64>] {
        &self.cells
    }

    pub(super) fn cells_mut(&mut self) -> &mut [Option<f64>] {
        &mut self.cells
    }

    /// All cells, or an error if one is hidden.
    pub fn numbers(&self) -> Result<Vec<f64>, LayoutError> {
        self.cells
            .iter()
            .copied()
            .collect::<Option<Vec<f64>>>()
            .ok_or_else(|| LayoutError::HiddenCells { array: self.name.clone() })
    }

    /// Whether `other` has the same name, axes, kind and rule, so that the two may be pooled.
    pub fn same_layout(&self, other: &Self) -> bool {
        self.name == other.name
            && self.axes == other.axes
            && self.kind == other.kind
            && self.rule == other.rule
            && self.shown == other.shown
    }
}

impl TryFrom<RawArray> for Array {
    type Error = LayoutError;

    fn try_from(raw: RawArray) -> Result<Self, LayoutError> {
        Self::checked(raw.name, raw.axes, raw.kind, raw.rule, raw.shown, raw.cells)
    }
}

/// All of an array but its cells: what the hub may know of an answer whose cells are sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Name.
    pub name: String,
    /// Axes, slowest first.
    pub axes: Vec<Axis>,
    /// What the cells are.
    pub kind: Kind,
    /// How sites become one.
    pub rule: Rule,
    /// Whether pooled cells are printed as they are.
    pub shown: bool,
}

impl Layout {
    /// Number of cells, unless it is beyond counting.
    pub fn cells(&self) -> Option<usize> {
        cells_of(&self.axes)
    }
}

/// Arrays that have passed the gate, with a note of what was hidden. Built by [`super::release()`] from a [`Draft`], and by
/// [`super::combine()`] from several summaries; the hub also reads one from the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    arrays: Vec<Array>,
    hidden: Vec<Hidden>,
}

impl Summary {
    pub(super) fn passed(draft: Draft, hidden: Vec<Hidden>) -> Self {
        Self { arrays: draft.into_arrays(), hidden }
    }

    pub(super) fn pooled(arrays: Vec<Array>, hidden: Vec<Hidden>) -> Self {
        Self { arrays, hidden }
    }

    /// Arrays in the model's order.
    pub fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// What was hidden, by array and rule.
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// All but the cells, array by array.
    pub fn layouts(&self) -> Vec<Layout> {
        self.arrays.iter().map(Array::layout).collect()
    }

    /// Whether `other` has the same arrays, cells apart.
    pub fn same_layout(&self, other: &Self) -> bool {
        self.arrays.len() == other.arrays.len()
            && self.arrays.iter().zip(&other.arrays).all(|(a, b)| a.same_layout(b))
    }

    /// The array called `name`.
    pub fn array(&self, name: &str) -> Result<&Array, LayoutError> {
        self.arrays
            .iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| LayoutError::Missing { array: name.to_owned() })
    }

    /// All cells of the array called `name`, none of them hidden.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, LayoutError> {
        self.array(name)?.numbers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_axis_travels_as_its_length_and_any_other_as_its_levels() {
        let json = |axis: &Axis| serde_json::to_string(axis).unwrap();
        let numbered = Axis::numbered("x", 12);
        assert_eq!(json(&numbered), r#"{"name":"x","positions":12}"#);
        for levels in
            [vec!["0"], vec!["00", "1"], vec!["0", "+1"], vec!["1", "2"], vec!["0", "2"], vec![]]
        {
            let axis = Axis::new("x", levels);
            assert!(json(&axis).contains("levels"), "{axis:?}");
            assert_eq!(serde_json::from_str::<Axis>(&json(&axis)).unwrap(), axis);
        }
        assert_eq!(serde_json::from_str::<Axis>(&json(&numbered)).unwrap(), numbered);
        assert!(serde_json::from_str::<Axis>(r#"{"name":"x"}"#).is_err());
    }

    #[test]
    fn an_axis_said_to_be_long_takes_no_memory_and_needs_its_cells() {
        let most = usize::MAX;
        let axis: Axis =
            serde_json::from_str(&format!(r#"{{"name":"x","positions":{most}}}"#)).unwrap();
        assert_eq!((axis.len(), axis.level(12).as_ref()), (most, "12"));
        let array = |axes: Vec<Axis>, cells: usize| {
            Array::new("a", axes, Kind::Count, Rule::Add, vec![1.0; cells])
        };
        // 2⁴⁰ · 2⁴⁰ wraps to 0 in 64 bits.
        let long = Axis::numbered("x", 1 << 40);
        assert!(array(vec![long.clone(), long.clone()], 0).is_err());
        assert!(array(vec![long], 3).is_err());
        assert!(array(vec![Axis::numbered("x", 3), Axis::new("y", ["a", "b"])], 6).is_ok());
    }
}
