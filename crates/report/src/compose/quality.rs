//! Indicators of the quality of data: a table of their own, by group and sex, and columns beside rates.

use tributary_core::estimate::{Estimate, Table};

use super::{Block, Composed, Composer, yearbook::distinct};
use crate::{document::PrintTable, locale::Locale, results::ModelResult};

/// Shares of cases and deaths over cases of one model.
pub(super) struct Quality<'a> {
    indicators: &'a Table,
    mortality: Option<&'a Table>,
}

impl<'a> Quality<'a> {
    /// Of the results of `quality_indicators`.
    pub(super) fn of(estimate: &'a Estimate) -> Option<Self> {
        let indicators = estimate.table("indicators")?;
        Some(Self { indicators, mortality: estimate.table("mortality") })
    }

    /// Sexes, both together first.
    pub(super) fn sexes(&self) -> Vec<String> {
        distinct(self.indicators, "sex")
    }

    /// Names of the indicators.
    pub(super) fn heads(&self) -> Vec<String> {
        let mut heads = distinct(self.indicators, "indicator");
        heads.extend(self.mortality.map(|_| "M:I".to_owned()));
        heads
    }

    /// Each indicator's table and row.
    fn rows(&self, group: &str, sex: &str) -> Vec<(&Table, Option<usize>)> {
        let row = |table: &Table, indicator: Option<&str>| {
            (0..table.rows.len()).find(|&r| {
                table.text(r, "group") == group
                    && table.text(r, "sex") == sex
                    && indicator.is_none_or(|name| table.text(r, "indicator") == name)
            })
        };
        let names = distinct(self.indicators, "indicator");
        let shares = names.iter().map(|name| (self.indicators, row(self.indicators, Some(name))));
        shares.chain(self.mortality.map(|table| (table, row(table, None)))).collect()
    }

    /// Per cent or ratio, a point where it is hidden, a dash where there is none.
    fn shown(&self, locale: &Locale, table: &Table, row: Option<usize>, end: &str) -> String {
        let Some(row) = row else { return "–".to_owned() };
        let (stem, scale, decimals) = if table.name == self.indicators.name {
            ("share", 100.0, 1)
        } else {
            ("mi_ratio", 1.0, 2)
        };
        match (table.number(row, &format!("{stem}{end}")), table.text(row, "status")) {
            (Some(x), _) => locale.decimals(scale * x, decimals),
            (None, "SUPPRESSED") => "·".to_owned(),
            (None, _) => "–".to_owned(),
        }
    }

    /// The indicators of a group and sex.
    pub(super) fn cells(&self, locale: &Locale, group: &str, sex: &str) -> Vec<String> {
        let rows = self.rows(group, sex).into_iter();
        rows.map(|(table, row)| self.shown(locale, table, row, "")).collect()
    }

    /// The same with their limits.
    fn cells_with_limits(&self, locale: &Locale, group: &str, sex: &str) -> Vec<String> {
        let cell = |(table, row): (&Table, Option<usize>)| {
            let of = |end: &str| self.shown(locale, table, row, end);
            let (low, high) = (of("_low"), of("_high"));
            if low == high { of("") } else { format!("{} ({})", of(""), locale.span(&low, &high)) }
        };
        self.rows(group, sex).into_iter().map(cell).collect()
    }
}

impl Composer<'_> {
    /// A line per group and sex, a column per indicator.
    pub(super) fn quality(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let Some(quality) = Quality::of(estimate) else { return Ok(Vec::new()) };
        let (groups, sexes) = (distinct(quality.indicators, "group"), quality.sexes());
        let mut head = vec![self.head("group")];
        head.extend((sexes.len() > 1).then(|| self.head("sex")));
        head.push(self.head("cases"));
        let texts = head.len() - 1;
        head.extend(quality.heads());
        let level = self.level_words(model);
        let caption = self.say("incidence.quality_caption", &[("level", &level)])?;
        let mut printed = PrintTable::new(caption, head).texts(texts);
        for (group, sex) in groups.iter().flat_map(|g| sexes.iter().map(move |s| (g, s))) {
            let whose = self.group(model, model.by.as_deref(), group)?;
            let mut cells = vec![if sex == "all" { whose } else { String::new() }];
            cells.extend((sexes.len() > 1).then(|| self.who(model, sex)).transpose()?);
            let row = quality.rows(group, sex)[0].1;
            let cases = row.and_then(|r| quality.indicators.number(r, "cases"));
            cells.push(cases.map_or_else(|| "·".into(), |n| self.locale.count(n)));
            cells.extend(quality.cells_with_limits(self.locale, group, sex));
            printed.row("body", cells);
        }
        Ok(vec![Block::Table(printed)])
    }
}
