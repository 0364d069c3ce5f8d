//! Yearbook tables of incidence: the layouts of International Incidence of Childhood Cancer and of Cancer Incidence in Five
//! Continents, a page per period and sex.

use std::collections::BTreeMap;

use tributary_core::estimate::{Estimate, Number, Status};
use tributary_models::incidence_rates::{
    ALL_AGES, AgeRate, CRUDE, CumulativeRate, Layout, Options, SexRatio, StandardisedRate,
    UnknownAge,
};

use super::{Block, Composed, Composer, quality::Quality};
use crate::{
    document::PrintTable,
    figure::{Pyramid, pyramid, spaced_marks},
    results::ModelResult,
};

/// Most age bands side by side where the numbers of cases stand before them.
const BANDS_ABREAST: usize = 10;

/// Values in the order in which they come, each once.
pub(super) fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// One line of a page: a group, or a period where there is one group only.
struct Line {
    group: String,
    period: String,
    label: String,
}

/// The tables of a model.
struct Tables {
    rates: Vec<AgeRate>,
    standardised: Vec<StandardisedRate>,
    cumulative: Vec<CumulativeRate>,
    sex_ratios: Vec<SexRatio>,
    unknown_ages: Vec<UnknownAge>,
}

impl Tables {
    fn of(estimate: &Estimate) -> Option<Self> {
        let (rates, standardised): (Vec<AgeRate>, Vec<StandardisedRate>) =
            (estimate.rows(), estimate.rows());
        (!rates.is_empty() && !standardised.is_empty()).then(|| Self {
            rates,
            standardised,
            cumulative: estimate.rows(),
            sex_ratios: estimate.rows(),
            unknown_ages: estimate.rows(),
        })
    }
}

/// The page that is laid out.
struct Page<'a> {
    tables: &'a Tables,
    lines: Vec<Line>,
    /// Age bands, without all ages together.
    ages: &'a [&'a str],
    /// Standard and ages.
    standards: &'a [(&'a str, &'a str)],
    /// Codes of the groups.
    codes: &'a BTreeMap<String, String>,
    /// Person-years for which rates are told.
    per: &'a str,
    /// Title of the page: its period, or all of them.
    period: String,
    sex: &'a str,
}

impl Page<'_> {
    /// Whether a row is of the line, and of the sex of the page.
    fn is_of(&self, line: &Line, [group, sex, period]: [&str; 3]) -> bool {
        period == line.period && sex == self.sex && group == line.group
    }

    fn rate(&self, line: &Line, age: &str) -> Option<&AgeRate> {
        let mut rates = self.tables.rates.iter();
        rates.find(|r| r.age == age && self.is_of(line, [&r.group, &r.sex, &r.period]))
    }

    fn standardised(&self, line: &Line, of: (&str, &str)) -> Option<&StandardisedRate> {
        let mut rates = self.tables.standardised.iter().filter(|r| (&*r.standard, &*r.ages) == of);
        rates.find(|r| self.is_of(line, [&r.group, &r.sex, &r.period]))
    }

    fn cases(&self, line: &Line, age: &str) -> Number {
        self.rate(line, age)?.cases
    }

    fn years(&self, line: &Line, age: &str) -> Number {
        self.rate(line, age)?.person_years
    }

    /// Whether lines are groups of one period, which make up all cases.
    fn has_groups(&self) -> bool {
        self.lines.windows(2).all(|w| w[0].period == w[1].period) && self.lines.len() > 1
    }

    /// Cases over all ages of all groups that are shown.
    fn total(&self) -> f64 {
        self.lines.iter().filter_map(|line| self.cases(line, ALL_AGES)).sum()
    }
}

impl Composer<'_> {
    pub(super) fn yearbook(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let Some(tables) = Tables::of(estimate) else { return Ok(Vec::new()) };
        let rates = &tables.rates;
        let periods = distinct(rates.iter().map(|r| r.period.as_str()));
        let sexes = distinct(rates.iter().map(|r| r.sex.as_str()));
        let groups = distinct(rates.iter().map(|r| r.group.as_str()));
        let by = model.by.as_deref();
        let line = |group: &str, period: &str, label: String| Line {
            group: group.to_owned(),
            period: period.to_owned(),
            label,
        };
        let mut pages: Vec<(Vec<Line>, String, &str)> = Vec::new();
        if let ([group], [first, .., last]) = (&groups[..], &periods[..]) {
            // One group: its periods below each other.
            let ends = [first.split('–').next(), last.split('–').next_back()];
            let title = ends.map(Option::unwrap_or_default).join("–");
            for sex in &sexes {
                let lines = periods.iter().map(|p| line(group, p, (*p).to_owned())).collect();
                pages.push((lines, title.clone(), sex));
            }
        } else {
            // A page per period for both sexes, and one per sex for the last period.
            let of_period = |period: &str| -> Composed<Vec<Line>> {
                let one = |g: &&str| Ok(line(g, period, self.group(model, by, g)?));
                groups.iter().map(one).collect()
            };
            for period in &periods {
                pages.push((of_period(period)?, (*period).to_owned(), sexes[0]));
            }
            for (period, sex) in
                periods.last().into_iter().flat_map(|p| sexes[1..].iter().map(move |s| (*p, *s)))
            {
                pages.push((of_period(period)?, period.to_owned(), sex));
            }
        }
        let standards =
            distinct(tables.standardised.iter().map(|r| (r.standard.as_str(), r.ages.as_str())));
        let ages = distinct(rates.iter().map(|r| r.age.as_str()).filter(|age| *age != ALL_AGES));
        let options: Option<Options> = model.options_as();
        let layout = options.as_ref().and_then(|options| options.layout);
        let codes = options.map(|options| options.icd10).unwrap_or_default();
        let per = self.per(estimate);
        let mut blocks = Vec::new();
        for (lines, period, sex) in pages {
            let page = Page {
                tables: &tables,
                lines,
                ages: &ages,
                standards: &standards,
                codes: &codes,
                per: &per,
                period,
                sex,
            };
            if layout == Some(Layout::Ci5) {
                // A page is as wide as ten bands; the others follow below.
                let (first, rest) = ages.split_at(ages.len().min(BANDS_ABREAST));
                blocks.push(self.ages_table(model, &page, first, true)?);
                if !rest.is_empty() {
                    blocks.push(self.ages_table(model, &page, rest, true)?);
                }
                blocks.push(self.summary_table(model, &page)?);
            } else {
                blocks.push(self.counts_table(model, &page)?);
                blocks.push(self.ages_table(model, &page, &ages, false)?);
            }
        }
        // The population is the same for all models of the analysis: it is drawn once.
        let has_pages = |m: &&ModelResult| m.estimate().and_then(Tables::of).is_some();
        let drawn = self.results.models.iter().find(has_pages).is_none_or(|m| m.id == model.id);
        if let Some(last) = periods.last().filter(|_| drawn) {
            blocks.extend(self.pyramid_figure(model, rates, &sexes, last)?);
        }
        Ok(blocks)
    }

    fn page_caption(&self, key: &str, model: &ModelResult, page: &Page<'_>) -> Composed<String> {
        let who = self.who(model, page.sex)?;
        let one = &page.lines[..if page.has_groups() { 1 } else { page.lines.len() }];
        let years: f64 = one.iter().filter_map(|line| page.years(line, ALL_AGES)).sum();
        let years = self.locale.count(years);
        let values =
            [("period", page.period.as_str()), ("who", &who), ("years", &years), ("per", page.per)];
        self.say(&format!("incidence.{key}"), &values)
    }

    fn line_head(&self, page: &Page<'_>) -> String {
        self.head(if page.has_groups() || page.lines.len() == 1 { "group" } else { "period" })
    }

    /// Share of a group among all cases, per cent.
    fn share(&self, page: &Page<'_>, line: &Line) -> String {
        let total = page.total();
        match page.cases(line, ALL_AGES) {
            Some(n) if total > 0.0 => self.locale.decimals(100.0 * n / total, 1),
            _ => "–".into(),
        }
    }

    fn cases_cell(&self, page: &Page<'_>, line: &Line, age: &str) -> String {
        let Some(row) = page.rate(line, age) else { return "–".into() };
        match (row.status, row.cases) {
            (Status::Suppressed, _) => "·".into(),
            (_, Some(n)) if n > 0.0 => self.locale.count(n),
            _ => "–".into(),
        }
    }

    /// Cases by age and over the standardised ages, males to females, relative frequency; person-years in the last line.
    fn counts_table(&self, model: &ModelResult, page: &Page<'_>) -> Composed<Block> {
        let ratios = &page.tables.sex_ratios;
        let has_ratios = page.sex == "all" && !ratios.is_empty();
        let spans = distinct(page.standards.iter().map(|(_, ages)| *ages));
        let mut head = vec![self.line_head(page)];
        head.extend(page.ages.iter().chain(&spans).map(|ages| (*ages).to_owned()));
        if has_ratios {
            head.push(self.word("incidence.males_to_females")?);
        }
        head.extend(page.has_groups().then(|| "%".to_owned()));
        let caption = self.page_caption("counts_caption", model, page)?;
        let mut printed = PrintTable::new(caption, head).texts(1);
        for line in &page.lines {
            let mut cells = vec![line.label.clone()];
            cells.extend(page.ages.iter().map(|age| self.cases_cell(page, line, age)));
            for span in &spans {
                let standard = page.standards.iter().find(|(_, ages)| ages == span);
                let row = standard.and_then(|of| page.standardised(line, *of));
                let n = row.and_then(|r| r.cases);
                let hidden = row.is_some_and(|r| r.status == Status::Suppressed);
                cells.push(match n {
                    Some(n) if n > 0.0 => self.locale.count(n),
                    None if hidden || page.cases(line, ALL_AGES).is_some_and(|n| n > 0.0) => {
                        "·".into()
                    }
                    _ => "–".into(),
                });
            }
            if has_ratios {
                let row = ratios.iter().find(|r| {
                    r.group == line.group && r.period == line.period && r.standard == CRUDE
                });
                let ratio = row.and_then(|r| r.cases_ratio);
                cells.push(ratio.map_or_else(|| "–".into(), |x| self.locale.decimals(x, 1)));
            }
            cells.extend(page.has_groups().then(|| self.share(page, line)));
            printed.row("body", cells);
        }
        if let Some(line) = page.lines.first().filter(|_| page.has_groups()) {
            let mut cells = vec![self.head("person_years")];
            cells.extend(page.ages.iter().map(|age| {
                page.years(line, age).map_or_else(|| "–".into(), |y| self.locale.count(y))
            }));
            cells.resize(printed.head.len(), String::new());
            printed.row("total", cells);
        }
        Ok(Block::Table(printed))
    }

    /// Rates by age. In the layout of Five Continents with the number of cases and those of unknown age; else with crude and
    /// standardised rates and, where the analysis tells them, indicators of quality.
    fn ages_table(
        &self,
        model: &ModelResult,
        page: &Page<'_>,
        ages: &[&str],
        five_continents: bool,
    ) -> Composed<Block> {
        let begins = ages.first() == page.ages.first();
        let ci = self.say("columns.ci", &[("level", &self.level_words(model))])?;
        let quality = if five_continents { None } else { self.quality_beside(model, page) };
        let mut head = vec![self.line_head(page)];
        if five_continents && begins {
            head.push(self.word("incidence.all_ages")?);
            head.push(self.word("incidence.age_unknown")?);
        }
        head.extend(ages.iter().map(|age| (*age).to_owned()));
        if !five_continents {
            head.push(self.word("incidence.crude")?);
            for (standard, ages) in page.standards {
                head.push(format!("{} {ages}", self.standard_name(standard)));
                head.push(ci.clone());
            }
            head.extend(quality.iter().flat_map(Quality::heads));
        }
        let key = match (five_continents, begins) {
            (true, true) => "ages_caption",
            (true, false) => "ages_continued",
            (false, _) => "caption",
        };
        let mut printed = PrintTable::new(self.page_caption(key, model, page)?, head).texts(1);
        for line in &page.lines {
            let mut cells = vec![line.label.clone()];
            if five_continents && begins {
                cells.push(self.cases_cell(page, line, ALL_AGES));
                let mut unknown = page.tables.unknown_ages.iter();
                let row = unknown.find(|r| page.is_of(line, [&r.group, &r.sex, &r.period]));
                let n = row.and_then(|r| r.cases);
                cells.push(n.map_or_else(|| "–".into(), |n| self.locale.count(n)));
            }
            for age in ages {
                cells.push(self.age_cell(page, line, age));
            }
            if !five_continents {
                cells.push(self.age_cell(page, line, ALL_AGES));
                for of in page.standards {
                    let row = page.standardised(line, *of);
                    cells.push(self.rate_cell(row.map(|r| (r.rate, r.status))));
                    cells.push(match row.map_or((None, None), |r| (r.conf_low, r.conf_high)) {
                        (Some(low), Some(high)) => self
                            .locale
                            .span(&self.locale.decimals(low, 1), &self.locale.decimals(high, 1)),
                        _ => "–".into(),
                    });
                }
                cells.extend(
                    quality.iter().flat_map(|q| q.cells(self.locale, &line.group, page.sex)),
                );
            }
            printed.row("body", cells);
        }
        Ok(Block::Table(printed))
    }

    /// The right half of a page of Five Continents: crude rate, share, cumulative rates, standardised rate, codes; and indicators of
    /// quality, where the analysis tells them.
    fn summary_table(&self, model: &ModelResult, page: &Page<'_>) -> Composed<Block> {
        let cumulative = &page.tables.cumulative;
        let spans = distinct(cumulative.iter().map(|r| r.ages.as_str()));
        let mut head = vec![self.line_head(page), self.word("incidence.crude")?];
        head.extend(page.has_groups().then(|| "%".to_owned()));
        for span in &spans {
            let end = span.rsplit('–').next().unwrap_or_default();
            // From birth it is named by its end alone, as CR64 and CR74.
            let name =
                if span.starts_with("0–") { format!("CR{end}") } else { format!("CR {span}") };
            head.push(name);
        }
        let all_ages = page.standards.first().map(|s| s.1);
        let whole = |s: &&(&str, &str)| Some(s.1) == all_ages;
        let standards: Vec<_> = page.standards.iter().filter(whole).collect();
        head.extend(standards.iter().map(|(s, _)| format!("ASR ({})", self.standard_name(s))));
        head.push(self.head("std_error"));
        head.extend((!page.codes.is_empty()).then(|| "ICD-10".to_owned()));
        let quality = self.quality_beside(model, page);
        head.extend(quality.iter().flat_map(Quality::heads));
        let caption = self.page_caption("summary_caption", model, page)?;
        let mut printed = PrintTable::new(caption, head).texts(1);
        for line in &page.lines {
            let mut cells = vec![line.label.clone(), self.age_cell(page, line, ALL_AGES)];
            cells.extend(page.has_groups().then(|| self.share(page, line)));
            for span in &spans {
                let of_span = |r: &&CumulativeRate| {
                    r.ages == *span && page.is_of(line, [&r.group, &r.sex, &r.period])
                };
                let rate = cumulative.iter().find(of_span).and_then(|r| r.cumulative_rate);
                cells.push(rate.map_or_else(|| "–".into(), |x| self.locale.decimals(x, 2)));
            }
            let mut errors = Vec::new();
            for of in &standards {
                let row = page.standardised(line, **of);
                cells.push(self.rate_cell(row.map(|r| (r.rate, r.status))));
                errors.push(row.and_then(|r| r.std_error));
            }
            let error = errors.first().copied().flatten();
            cells.push(error.map_or_else(|| "–".into(), |x| self.locale.decimals(x, 2)));
            if !page.codes.is_empty() {
                cells.push(page.codes.get(&line.group).map_or("–", String::as_str).to_owned());
            }
            cells.extend(quality.iter().flat_map(|q| q.cells(self.locale, &line.group, page.sex)));
            printed.row("body", cells);
        }
        Ok(Block::Table(printed))
    }

    fn standard_name(&self, standard: &str) -> String {
        self.word(&format!("value.{standard}")).unwrap_or_else(|_| standard.to_owned())
    }

    /// Indicators of the same groups and sex, where the analysis has them. They are of all years: beside rates of one of several
    /// periods they would mislead.
    fn quality_beside(&self, model: &ModelResult, page: &Page<'_>) -> Option<Quality> {
        let of_groups = self.results.models.iter().filter(|m| m.by == model.by);
        let quality = of_groups.filter_map(ModelResult::estimate).find_map(Quality::of)?;
        let one_period = distinct(page.tables.rates.iter().map(|r| &r.period)).len() == 1;
        (one_period && quality.sexes().contains(&page.sex)).then_some(quality)
    }

    /// The population by age, males to the left and females to the right.
    fn pyramid_figure(
        &mut self,
        model: &ModelResult,
        rates: &[AgeRate],
        sexes: &[&str],
        period: &str,
    ) -> Composed<Option<Block>> {
        let [_, left, right] = sexes else { return Ok(None) };
        let of_period: Vec<&AgeRate> =
            rates.iter().filter(|r| r.group == rates[0].group && r.period == period).collect();
        let of = |sex: &str, age: &str| {
            let row = of_period.iter().find(|r| r.sex == sex && r.age == age);
            row.and_then(|r| r.person_years).unwrap_or(0.0)
        };
        let ages = distinct(rates.iter().map(|r| r.age.as_str()).filter(|age| *age != ALL_AGES));
        let bars: Vec<(String, f64, f64)> =
            ages.into_iter().map(|age| (age.to_owned(), of(left, age), of(right, age))).collect();
        if bars.len() < 3 || bars.iter().all(|b| b.1 + b.2 <= 0.0) {
            return Ok(None);
        }
        let most = bars.iter().map(|b| b.1.max(b.2)).fold(0.0, f64::max);
        let label =
            |(x, l): (f64, String)| (x, if l.is_empty() { l } else { self.locale.count(x) });
        let plot = Pyramid {
            marks: spaced_marks(0.0, most, 4).into_iter().map(label).collect(),
            bars,
            sides: [self.who(model, left)?, self.who(model, right)?],
            x_label: self.head("person_years"),
            y_label: self.head("age"),
        };
        let caption = self.say("incidence.pyramid_caption", &[("period", period)])?;
        let alt = caption.clone();
        Ok(Some(self.place(format!("{}.population", model.id), pyramid(&plot), caption, alt)))
    }

    /// Person-years for which rates are told, as the method card says.
    pub(super) fn per(&self, estimate: &Estimate) -> String {
        let line = estimate.card.iter().find(|line| line.term == "rate-per");
        let per = line.and_then(|l| l.values.get("per")?.parse::<f64>().ok());
        per.map_or_else(String::new, |per| self.locale.count(per))
    }

    fn age_cell(&self, page: &Page<'_>, line: &Line, age: &str) -> String {
        self.rate_cell(page.rate(line, age).map(|r| (r.rate, r.status)))
    }

    /// A rate to one decimal; a dash without cases, a bullet where it is hidden.
    fn rate_cell(&self, rate: Option<(Number, Status)>) -> String {
        match rate.unwrap_or_default() {
            (_, Status::Suppressed) => "·".into(),
            (Some(rate), _) if rate > 0.0 => self.locale.decimals(rate, 1),
            _ => "–".into(),
        }
    }
}
