//! Rows of result tables as structs, whose fields are the columns: a model that writes a row and a page that reads it share its type.

use super::{Estimate, Field, Status, Table, Unit, Value, field};

/// A cell that holds a number, or nothing where it is hidden, not reached or not defined.
pub type Number = Option<f64>;

/// What can stand in a column.
pub trait Cell {
    /// Unit of the column, where its type tells it.
    const UNIT: Option<Unit> = None;

    /// The cell as it is kept.
    fn into_value(self) -> Value;

    /// The cell as it was kept.
    fn of(value: &Value) -> Self;
}

impl Cell for Number {
    fn into_value(self) -> Value {
        self.into()
    }

    fn of(value: &Value) -> Self {
        value.as_number()
    }
}

impl Cell for String {
    const UNIT: Option<Unit> = Some(Unit::Text);

    fn into_value(self) -> Value {
        self.into()
    }

    fn of(value: &Value) -> Self {
        value.as_text().to_owned()
    }
}

/// A word of which there may be none.
impl Cell for Option<String> {
    const UNIT: Option<Unit> = Some(Unit::Text);

    fn into_value(self) -> Value {
        self.map_or(Value::None, Value::Text)
    }

    fn of(value: &Value) -> Self {
        Some(value.as_text()).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

impl Cell for Status {
    const UNIT: Option<Unit> = Some(Unit::Text);

    fn into_value(self) -> Value {
        self.into()
    }

    /// A word that is no status of this version says nothing about the number beside it.
    fn of(value: &Value) -> Self {
        Self::ALL.into_iter().find(|s| s.word() == value.as_text()).unwrap_or_default()
    }
}

/// One column of a row type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: &'static str,
    /// Unit, where it is not told by the name.
    pub unit: Option<Unit>,
}

/// A row of a result table. Declared by [`rows!`](crate::rows).
pub trait Row: Sized {
    /// Name of the table.
    const TABLE: &'static str;
    /// Its columns, in order.
    const COLUMNS: &'static [Column];

    /// The cells, in the order of the columns.
    fn into_cells(self) -> Vec<Value>;

    /// A row of these cells, as many as there are columns.
    fn of_cells(cells: &[&Value]) -> Self;
}

/// Declares rows of result tables as structs, with the name of the table and, after `as`, the unit of a column where its name does
/// not tell it.
///
/// ```
/// use tributary_core::{
///     estimate::{Number, Status, Table},
///     rows,
/// };
///
/// rows! {
///     /// Rate of one group.
///     pub struct Rate in "rates" {
///         pub group: String,
///         pub n_event: Number,
///         pub estimate: Number as Rate,
///         pub conf_low: Number,
///         pub conf_high: Number,
///         pub status: Status,
///     }
/// }
///
/// let row = Rate { group: "all".into(), n_event: Some(3.0), status: Status::Suppressed, ..Rate::default() };
/// let table = Table::of([row.clone()]);
/// assert_eq!(table.columns[3].of.as_deref(), Some("estimate"));
/// assert_eq!(table.rows_of::<Rate>(), [row]);
/// ```
#[macro_export]
macro_rules! rows {
    ($(
        $(#[$about:meta])*
        $vis:vis struct $name:ident in $table:literal {
            $($(#[$note:meta])* $seen:vis $field:ident : $type:ty $(as $unit:ident)?),* $(,)?
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Default)]
        #[allow(missing_docs, reason = "the names of columns are their documentation")]
        #[allow(clippy::struct_field_names, reason = "fields bear the names of columns")]
        $vis struct $name { $($(#[$note])* $seen $field: $type),* }

        impl $crate::estimate::Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [$crate::estimate::Column] = &[$($crate::estimate::Column {
                name: stringify!($field),
                unit: $crate::rows!(@unit $type $(, $unit)?),
            }),*];

            fn into_cells(self) -> Vec<$crate::estimate::Value> {
                vec![$($crate::estimate::Cell::into_value(self.$field)),*]
            }

            fn of_cells(cells: &[&$crate::estimate::Value]) -> Self {
                let mut cells = cells.iter();
                let mut next = || cells.next().copied().unwrap_or(&$crate::estimate::Value::None);
                Self { $($field: $crate::estimate::Cell::of(next())),* }
            }
        }
    )*};
    (@unit $type:ty) => { <$type as $crate::estimate::Cell>::UNIT };
    (@unit $type:ty, $unit:ident) => { Some($crate::estimate::Unit::$unit) };
}

impl Table {
    /// A table of these rows.
    pub fn of<R: Row>(rows: impl IntoIterator<Item = R>) -> Self {
        let field = |c: &Column| c.unit.map_or_else(|| c.name.into(), |u| Field::new(c.name, u));
        Self {
            name: R::TABLE.to_owned(),
            shown: super::Shown::Page,
            lines: None,
            columns: field::resolved(R::COLUMNS.iter().map(field).collect()),
            rows: rows.into_iter().map(Row::into_cells).collect(),
        }
    }

    /// The same without some columns: those that the question did not ask for.
    #[must_use]
    pub fn without(mut self, columns: &[&str]) -> Self {
        let kept: Vec<bool> =
            self.columns.iter().map(|c| !columns.contains(&c.name.as_str())).collect();
        debug_assert_eq!(
            kept.iter().filter(|k| !**k).count(),
            columns.len(),
            "table {} has no column of {columns:?}",
            self.name
        );
        let keep = |i: &mut usize| {
            *i += 1;
            kept[*i - 1]
        };
        let mut i = 0;
        self.columns.retain(|_| keep(&mut i));
        for row in &mut self.rows {
            let mut i = 0;
            row.retain(|_| keep(&mut i));
        }
        self
    }

    /// The same with another name of a column and of its limits: one that depends on the question.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        for field in &mut self.columns {
            for name in std::iter::once(&mut field.name).chain(&mut field.of) {
                let end = name.strip_prefix(from).filter(|e| ["", "_low", "_high"].contains(e));
                if let Some(end) = end {
                    *name = format!("{to}{end}");
                }
            }
        }
        self
    }

    /// The rows as structs; a column that the table does not have is empty.
    pub fn rows_of<R: Row>(&self) -> Vec<R> {
        let at: Vec<Option<usize>> = R::COLUMNS.iter().map(|c| self.position(c.name)).collect();
        let read = |row: &Vec<Value>| {
            let cell = |i: &Option<usize>| i.and_then(|i| row.get(i)).unwrap_or(&Value::None);
            R::of_cells(&at.iter().map(cell).collect::<Vec<_>>())
        };
        self.rows.iter().map(read).collect()
    }
}

impl Estimate {
    /// Rows of the table of this type; none where there is no such table.
    pub fn rows<R: Row>(&self) -> Vec<R> {
        self.table_of::<R>().map(Table::rows_of).unwrap_or_default()
    }

    /// The table of this type.
    pub fn table_of<R: Row>(&self) -> Option<&Table> {
        self.table(R::TABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    rows! {
        struct Line in "lines" {
            group: String,
            time_years: Number,
            estimate: Number as Share,
            conf_low: Number,
            note: Option<String>,
            status: Status,
        }
    }

    fn line() -> Line {
        Line {
            group: "a".into(),
            time_years: Some(1.0),
            estimate: Some(f64::NAN),
            status: Status::NoEvents,
            ..Line::default()
        }
    }

    #[test]
    fn a_row_reads_back_what_it_wrote_and_a_number_is_finite() {
        let table = Table::of([line()]);
        assert_eq!(table.rows_of::<Line>(), [Line { estimate: None, ..line() }]);
        assert_eq!(table.columns[3].unit, Unit::Share);
    }

    #[test]
    fn a_column_is_renamed_with_its_limits() {
        let table = Table::of([line()]).renamed("estimate", "survival");
        assert_eq!(table.columns[2].name, "survival");
        assert_eq!(table.columns[3].name, "conf_low");
        assert_eq!(table.columns[3].of.as_deref(), Some("survival"));
        let own = Table::new("ratios", &["ratio", "ratio_low"]).renamed("ratio", "odds_ratio");
        assert_eq!(own, Table::new("ratios", &["odds_ratio", "odds_ratio_low"]));
    }

    #[test]
    fn columns_that_were_not_asked_for_are_left_out_and_read_as_empty() {
        let table = Table::of([line()]).without(&["time_years", "note"]);
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["group", "estimate", "conf_low", "status"]);
        assert_eq!(table.rows[0].len(), 4);
        assert_eq!(table.rows_of::<Line>()[0].time_years, None);
        assert_eq!(table.rows_of::<Line>()[0].status, Status::NoEvents);
    }
}
