//! Indicators of the quality of data: a table of their own, by group and sex, and columns beside rates.

use tributary_core::estimate::{Estimate, Number, Status};
use tributary_models::quality_indicators::{IndicatorShare, MortalityRatio};

use super::{Block, Composed, Composer, yearbook::distinct};
use crate::{document::PrintTable, locale::Locale, results::ModelResult};

/// Shares of cases and deaths over cases of one model.
pub(super) struct Quality {
    indicators: Vec<IndicatorShare>,
    mortality: Vec<MortalityRatio>,
}

/// A number with its limits as it is printed, to so many decimals.
type Printed = ([Number; 3], Status, usize);

impl Quality {
    /// Of the results of `quality_indicators`.
    pub(super) fn of(estimate: &Estimate) -> Option<Self> {
        let indicators: Vec<IndicatorShare> = estimate.rows();
        (!indicators.is_empty()).then(|| Self { indicators, mortality: estimate.rows() })
    }

    /// Sexes, both together first.
    pub(super) fn sexes(&self) -> Vec<&str> {
        distinct(self.indicators.iter().map(|row| row.sex.as_str()))
    }

    /// Names of the indicators.
    fn names(&self) -> Vec<&str> {
        distinct(self.indicators.iter().map(|row| row.indicator.as_str()))
    }

    /// Heads of the indicators.
    pub(super) fn heads(&self) -> Vec<String> {
        let mut heads: Vec<String> = self.names().into_iter().map(str::to_owned).collect();
        heads.extend((!self.mortality.is_empty()).then(|| "M:I".to_owned()));
        heads
    }

    /// Cases of a group and sex.
    fn cases(&self, group: &str, sex: &str) -> Number {
        self.indicators.iter().find(|row| row.group == group && row.sex == sex)?.cases
    }

    /// Each indicator, in per cent, and the ratio of deaths to cases of a group and sex.
    fn numbers(&self, group: &str, sex: &str) -> Vec<Option<Printed>> {
        let share = |name: &str| {
            let fits = |row: &&IndicatorShare| {
                row.group == group && row.sex == sex && row.indicator == name
            };
            let row = self.indicators.iter().find(fits)?;
            let shares = [row.share, row.share_low, row.share_high];
            Some((shares.map(|x| x.map(|x| 100.0 * x)), row.status, 1))
        };
        let ratio = || {
            let row = self.mortality.iter().find(|row| row.group == group && row.sex == sex)?;
            Some(([row.mi_ratio, row.mi_ratio_low, row.mi_ratio_high], row.status, 2))
        };
        let mut numbers: Vec<Option<Printed>> = self.names().into_iter().map(share).collect();
        numbers.extend((!self.mortality.is_empty()).then(ratio));
        numbers
    }

    /// The indicators of a group and sex.
    pub(super) fn cells(&self, locale: &Locale, group: &str, sex: &str) -> Vec<String> {
        let numbers = self.numbers(group, sex).into_iter();
        numbers.map(|number| shown(locale, number)[0].clone()).collect()
    }

    /// The same with their limits.
    fn cells_with_limits(&self, locale: &Locale, group: &str, sex: &str) -> Vec<String> {
        let cell = |number: Option<Printed>| {
            let [x, low, high] = shown(locale, number);
            if low == high { x } else { format!("{x} ({})", locale.span(&low, &high)) }
        };
        self.numbers(group, sex).into_iter().map(cell).collect()
    }
}

/// A number and its limits, a point where they are hidden, a dash where there are none.
fn shown(locale: &Locale, number: Option<Printed>) -> [String; 3] {
    let (numbers, status, decimals) = number.unwrap_or_default();
    numbers.map(|x| match (x, status) {
        (Some(x), _) => locale.decimals(x, decimals),
        (None, Status::Suppressed) => "·".to_owned(),
        (None, _) => "–".to_owned(),
    })
}

impl Composer<'_> {
    /// A line per group and sex, a column per indicator.
    pub(super) fn quality(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let Some(quality) = Quality::of(estimate) else { return Ok(Vec::new()) };
        let groups = distinct(quality.indicators.iter().map(|row| row.group.as_str()));
        let sexes = quality.sexes();
        let mut head = vec![self.head("group")];
        head.extend((sexes.len() > 1).then(|| self.head("sex")));
        head.push(self.head("cases"));
        let texts = head.len() - 1;
        head.extend(quality.heads());
        let level = self.level_words(model);
        let caption = self.say("incidence.quality_caption", &[("level", &level)])?;
        let mut printed = PrintTable::new(caption, head).texts(texts);
        for (group, sex) in groups.iter().flat_map(|g| sexes.iter().map(|s| (*g, *s))) {
            let whose = self.group(model, model.by.as_deref(), group)?;
            let mut cells = vec![if sex == "all" { whose } else { String::new() }];
            cells.extend((sexes.len() > 1).then(|| self.who(model, sex)).transpose()?);
            let cases = quality.cases(group, sex);
            cells.push(cases.map_or_else(|| "·".into(), |n| self.locale.count(n)));
            cells.extend(quality.cells_with_limits(self.locale, group, sex));
            printed.row("body", cells);
        }
        Ok(vec![Block::Table(printed)])
    }
}
