//! Yearbook tables of incidence: the layouts of International Incidence of Childhood Cancer and of Cancer Incidence in Five
//! Continents, a page per period and sex.

use tributary_core::estimate::{Estimate, Table};

use super::{Block, Composed, Composer, quality::Quality};
use crate::{
    document::PrintTable,
    figure::{Pyramid, pyramid, spaced_marks},
    results::ModelResult,
};

/// Most age bands side by side where the numbers of cases stand before them.
const BANDS_ABREAST: usize = 10;

/// Values of a column in the order in which they come.
pub(super) fn distinct(table: &Table, column: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for row in 0..table.rows.len() {
        let value = table.text(row, column);
        if !found.iter().any(|f| f == value) {
            found.push(value.to_owned());
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

/// The tables of a model, and the page that is laid out.
struct Page<'a> {
    rates: &'a Table,
    standardised: &'a Table,
    estimate: &'a Estimate,
    lines: Vec<Line>,
    /// Age bands, without all ages together.
    ages: Vec<String>,
    /// Standard and ages.
    standards: Vec<(String, String)>,
    /// Title of the page: its period, or all of them.
    period: String,
    sex: &'a str,
}

impl Page<'_> {
    fn find(&self, table: &Table, line: &Line, wanted: &[(&str, &str)]) -> Option<usize> {
        (0..table.rows.len()).find(|&row| {
            table.text(row, "period") == line.period
                && table.text(row, "sex") == self.sex
                && table.text(row, "group") == line.group
                && wanted.iter().all(|(c, v)| table.text(row, c) == *v)
        })
    }

    fn rate_row(&self, line: &Line, age: &str) -> Option<usize> {
        self.find(self.rates, line, &[("age", age)])
    }

    fn cases(&self, line: &Line, age: &str) -> Option<f64> {
        self.rates.number(self.rate_row(line, age)?, "cases")
    }

    fn years(&self, line: &Line, age: &str) -> Option<f64> {
        self.rates.number(self.rate_row(line, age)?, "person_years")
    }

    /// Whether lines are groups of one period, which make up all cases.
    fn has_groups(&self) -> bool {
        self.lines.windows(2).all(|w| w[0].period == w[1].period) && self.lines.len() > 1
    }

    /// Cases over all ages of all groups that are shown.
    fn total(&self) -> f64 {
        self.lines.iter().filter_map(|line| self.cases(line, "all")).sum()
    }
}

impl Composer<'_> {
    pub(super) fn yearbook(
        &mut self,
        model: &ModelResult,
        estimate: &Estimate,
    ) -> Composed<Vec<Block>> {
        let (Some(rates), Some(standardised)) =
            (estimate.table("rates"), estimate.table("standardised_rates"))
        else {
            return Ok(Vec::new());
        };
        let (periods, sexes) = (distinct(rates, "period"), distinct(rates, "sex"));
        let groups = distinct(rates, "group");
        let by = model.by.as_deref();
        let line = |group: &String, period: &String, label: String| Line {
            group: group.clone(),
            period: period.clone(),
            label,
        };
        let mut pages: Vec<(Vec<Line>, String, &String)> = Vec::new();
        if let ([group], [first, .., last]) = (&groups[..], &periods[..]) {
            // One group: its periods below each other.
            let ends = [first.split('–').next(), last.split('–').next_back()];
            let title = ends.map(Option::unwrap_or_default).join("–");
            for sex in &sexes {
                let lines = periods.iter().map(|p| line(group, p, p.clone())).collect();
                pages.push((lines, title.clone(), sex));
            }
        } else {
            // A page per period for both sexes, and one per sex for the last period.
            let of_period = |period: &String| -> Composed<Vec<Line>> {
                let one = |g: &String| Ok(line(g, period, self.group(model, by, g)?));
                groups.iter().map(one).collect()
            };
            for period in &periods {
                pages.push((of_period(period)?, period.clone(), &sexes[0]));
            }
            for (period, sex) in
                periods.last().into_iter().flat_map(|p| sexes[1..].iter().map(move |s| (p, s)))
            {
                pages.push((of_period(period)?, period.clone(), sex));
            }
        }
        let mut standards: Vec<(String, String)> = Vec::new();
        for row in 0..standardised.rows.len() {
            let key = ["standard", "ages"].map(|c| standardised.text(row, c).to_owned());
            let key: (String, String) = key.into();
            if !standards.contains(&key) {
                standards.push(key);
            }
        }
        let ages: Vec<String> = distinct(rates, "age").into_iter().filter(|a| a != "all").collect();
        let five_continents = model.options.get("layout").and_then(|l| l.as_str()) == Some("ci5");
        let mut blocks = Vec::new();
        for (lines, period, sex) in pages {
            let page = Page {
                rates,
                standardised,
                estimate,
                lines,
                ages: ages.clone(),
                standards: standards.clone(),
                period,
                sex,
            };
            if five_continents {
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
        let is_first = |m: &&ModelResult| m.kind == model.kind;
        let drawn = self.results.models.iter().find(is_first).is_none_or(|m| m.id == model.id);
        if let Some(last) = periods.last().filter(|_| drawn) {
            blocks.extend(self.pyramid_figure(model, rates, last)?);
        }
        Ok(blocks)
    }

    fn page_caption(&self, key: &str, model: &ModelResult, page: &Page<'_>) -> Composed<String> {
        let who = self.who(model, page.sex)?;
        let one = &page.lines[..if page.has_groups() { 1 } else { page.lines.len() }];
        let years: f64 = one.iter().filter_map(|line| page.years(line, "all")).sum();
        let years = self.locale.count(years);
        let per = self.per(page.estimate);
        let values =
            [("period", page.period.as_str()), ("who", &who), ("years", &years), ("per", &per)];
        self.say(&format!("incidence.{key}"), &values)
    }

    fn line_head(&self, page: &Page<'_>) -> String {
        self.head(if page.has_groups() || page.lines.len() == 1 { "group" } else { "period" })
    }

    /// Share of a group among all cases, per cent.
    fn share(&self, page: &Page<'_>, line: &Line) -> String {
        let total = page.total();
        match page.cases(line, "all") {
            Some(n) if total > 0.0 => self.locale.decimals(100.0 * n / total, 1),
            _ => "–".into(),
        }
    }

    fn cases_cell(&self, page: &Page<'_>, line: &Line, age: &str) -> String {
        let Some(row) = page.rate_row(line, age) else { return "–".into() };
        match (page.rates.text(row, "status"), page.rates.number(row, "cases")) {
            ("SUPPRESSED", _) => "·".into(),
            (_, Some(n)) if n > 0.0 => self.locale.count(n),
            _ => "–".into(),
        }
    }

    /// Cases by age and over the standardised ages, males to females, relative frequency; person-years in the last line.
    fn counts_table(&self, model: &ModelResult, page: &Page<'_>) -> Composed<Block> {
        let ratios = page.estimate.table("sex_ratio").filter(|_| page.sex == "all");
        let spans: Vec<String> =
            page.standards.iter().map(|(_, a)| a.clone()).fold(Vec::new(), |mut all, a| {
                if !all.contains(&a) {
                    all.push(a);
                }
                all
            });
        let mut head = vec![self.line_head(page)];
        head.extend(page.ages.iter().cloned());
        head.extend(spans.iter().cloned());
        if ratios.is_some() {
            head.push(self.word("incidence.males_to_females")?);
        }
        head.extend(page.has_groups().then(|| "%".to_owned()));
        let caption = self.page_caption("counts_caption", model, page)?;
        let mut printed = PrintTable::new(caption, head).texts(1);
        for line in &page.lines {
            let mut cells = vec![line.label.clone()];
            cells.extend(page.ages.iter().map(|age| self.cases_cell(page, line, age)));
            for span in &spans {
                let of = |(_, ages): &&(String, String)| ages == span;
                let standard = page.standards.iter().find(of).map(|s| s.0.as_str());
                let wanted = [("standard", standard.unwrap_or("")), ("ages", span.as_str())];
                let row = page.find(page.standardised, line, &wanted);
                let n = row.and_then(|r| page.standardised.number(r, "cases"));
                let hidden =
                    row.is_some_and(|r| page.standardised.text(r, "status") == "SUPPRESSED");
                cells.push(match n {
                    Some(n) if n > 0.0 => self.locale.count(n),
                    None if hidden || page.cases(line, "all").is_some_and(|n| n > 0.0) => {
                        "·".into()
                    }
                    _ => "–".into(),
                });
            }
            if let Some(ratios) = ratios {
                let row = (0..ratios.rows.len()).find(|&r| {
                    ratios.text(r, "group") == line.group
                        && ratios.text(r, "period") == line.period
                        && ratios.text(r, "standard") == "crude"
                });
                let ratio = row.and_then(|r| ratios.number(r, "cases_ratio"));
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
        ages: &[String],
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
        head.extend(ages.iter().cloned());
        if !five_continents {
            head.push(self.word("incidence.crude")?);
            for (standard, ages) in &page.standards {
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
                cells.push(self.cases_cell(page, line, "all"));
                let unknown = page.estimate.table("unknown_age");
                let n = unknown.and_then(|t| t.number(page.find(t, line, &[])?, "cases"));
                cells.push(n.map_or_else(|| "–".into(), |n| self.locale.count(n)));
            }
            for age in ages {
                cells.push(self.rate_cell(page.rates, page.rate_row(line, age)));
            }
            if !five_continents {
                cells.push(self.rate_cell(page.rates, page.rate_row(line, "all")));
                for (standard, ages) in &page.standards {
                    let wanted = [("standard", standard.as_str()), ("ages", ages.as_str())];
                    let row = page.find(page.standardised, line, &wanted);
                    cells.push(self.rate_cell(page.standardised, row));
                    let limit = |c: &str| row.and_then(|r| page.standardised.number(r, c));
                    cells.push(match (limit("conf_low"), limit("conf_high")) {
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
        let cumulative = page.estimate.table("cumulative");
        let spans: Vec<String> = cumulative.map_or_else(Vec::new, |t| distinct(t, "ages"));
        let mut head = vec![self.line_head(page), self.word("incidence.crude")?];
        head.extend(page.has_groups().then(|| "%".to_owned()));
        for span in &spans {
            let end = span.rsplit('–').next().unwrap_or_default();
            // From birth it is named by its end alone, as CR64 and CR74.
            let name =
                if span.starts_with("0–") { format!("CR{end}") } else { format!("CR {span}") };
            head.push(name);
        }
        let all_ages = page.standards.first().map(|s| s.1.clone());
        let whole = |s: &&(String, String)| Some(&s.1) == all_ages.as_ref();
        let standards: Vec<&(String, String)> = page.standards.iter().filter(whole).collect();
        head.extend(standards.iter().map(|(s, _)| format!("ASR ({})", self.standard_name(s))));
        head.push(self.head("std_error"));
        let codes = model.options.get("icd10").and_then(|c| c.as_object());
        let codes = codes.filter(|c| !c.is_empty());
        head.extend(codes.map(|_| "ICD-10".to_owned()));
        let quality = self.quality_beside(model, page);
        head.extend(quality.iter().flat_map(Quality::heads));
        let caption = self.page_caption("summary_caption", model, page)?;
        let mut printed = PrintTable::new(caption, head).texts(1);
        for line in &page.lines {
            let mut cells =
                vec![line.label.clone(), self.rate_cell(page.rates, page.rate_row(line, "all"))];
            cells.extend(page.has_groups().then(|| self.share(page, line)));
            for span in &spans {
                let row =
                    cumulative.and_then(|t| page.find(t, line, &[("ages", span)]).map(|r| (t, r)));
                let rate = row.and_then(|(t, r)| t.number(r, "cumulative_rate"));
                cells.push(rate.map_or_else(|| "–".into(), |x| self.locale.decimals(x, 2)));
            }
            let mut errors = Vec::new();
            for (standard, ages) in &standards {
                let wanted = [("standard", standard.as_str()), ("ages", ages.as_str())];
                let row = page.find(page.standardised, line, &wanted);
                cells.push(self.rate_cell(page.standardised, row));
                errors.push(row.and_then(|r| page.standardised.number(r, "std_error")));
            }
            let error = errors.first().copied().flatten();
            cells.push(error.map_or_else(|| "–".into(), |x| self.locale.decimals(x, 2)));
            if let Some(codes) = codes {
                let code = codes.get(&line.group).and_then(|c| c.as_str()).unwrap_or("–");
                cells.push(code.to_owned());
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
    fn quality_beside(&self, model: &ModelResult, page: &Page<'_>) -> Option<Quality<'_>> {
        let same = |m: &&ModelResult| m.kind == "quality_indicators" && m.by == model.by;
        let quality = Quality::of(self.results.models.iter().find(same)?.estimate()?)?;
        let one_period = distinct(page.rates, "period").len() == 1;
        (one_period && quality.sexes().iter().any(|sex| sex == page.sex)).then_some(quality)
    }

    /// The population by age, males to the left and females to the right.
    fn pyramid_figure(
        &mut self,
        model: &ModelResult,
        rates: &Table,
        period: &str,
    ) -> Composed<Option<Block>> {
        let sexes: Vec<String> = distinct(rates, "sex").into_iter().skip(1).collect();
        let [left, right] = &sexes[..] else { return Ok(None) };
        let group = rates.text(0, "group").to_owned();
        let of = |sex: &str, age: &str| {
            let row = (0..rates.rows.len()).find(|&r| {
                rates.text(r, "group") == group
                    && rates.text(r, "period") == period
                    && rates.text(r, "sex") == sex
                    && rates.text(r, "age") == age
            });
            row.and_then(|r| rates.number(r, "person_years")).unwrap_or(0.0)
        };
        let ages = distinct(rates, "age").into_iter().filter(|a| a != "all");
        let bars: Vec<(String, f64, f64)> =
            ages.map(|age| (age.clone(), of(left, &age), of(right, &age))).collect();
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

    /// A rate to one decimal; a dash without cases, a bullet where it is hidden.
    fn rate_cell(&self, table: &Table, row: Option<usize>) -> String {
        let Some(row) = row else { return "–".into() };
        match (table.text(row, "status"), table.number(row, "rate")) {
            ("SUPPRESSED", _) => "·".into(),
            (_, Some(rate)) if rate > 0.0 => self.locale.decimals(rate, 1),
            _ => "–".into(),
        }
    }
}
