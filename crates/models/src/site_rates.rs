//! Incidence of the sites side by side: how much it differs, beyond chance.
//!
//! *Estimates* each site's ratio of observed to expected cases, tests of one common ratio, limits of a funnel, and ratios shrunk
//! towards the mean. *A site sends* its number of cases, visible per site and guarded by the site's floors, with the person-years and
//! the expected cases of its population under rates that the analysis states, and, if asked, standardised rates by sex. *Sums*: none;
//! sites stand side by side. *The hub* tests and shrinks. *Differs from pooling rows*: not at all where no site's number is hidden. *Not done*: ranking; expected cases
//! without stated rates follow from person-years alone. *Sources*: Breslow & Day (1987); Potthoff & Whittinghill (1966);
//! Spiegelhalter (2005); Marshall (1991); Clayton & Kaldor (1987); Larsen & Merlo (2005).

mod tables;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Incidence, IncidenceCounts, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Context, Exchanges, ModelCard, OneRound, Statistic, incidence_needs, prepare_incidence,
    },
    spec::Fault,
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support, Visibility},
};
use tributary_stats::{
    between::{
        funnel_limits, homogeneity, median_rate_ratio, overdispersion, shrink_by_likelihood,
        shrink_by_moments,
    },
    distribution::garwood,
    rate::WeightedRate,
};

use super::rate_trend::standard_weights;

pub use self::tables::{AllSites, Comparative, Heterogeneity, SiteRate};

/// The model.
#[derive(Debug)]
pub struct SiteRates;

/// Options of `site_rates`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent.
    incidence: Incidence,
    /// Rates of each age band that give the expected cases, such as pooled ones of an earlier analysis; one rate for all if absent.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Weight>")]
    reference: Vec<f64>,
    /// Person-years to which the rates of `reference` and the results refer: a million if nobody is 20 or over, else 100 000.
    #[serde(default)]
    #[schemars(with = "Option<limits::Units>")]
    per: Option<f64>,
    /// Whether each site also tells, by sex, its crude and standardised rate with its standard error and its cumulative risk, rounded
    /// to the digits that are printed, as the comparative table of Cancer Incidence in Five Continents does.
    #[serde(default)]
    comparative: bool,
    /// Standard population of that table.
    #[serde(default = "super::rate_trend::world")]
    standard: String,
    /// Tables drawn for the exact test.
    #[serde(default = "draws")]
    #[schemars(range(min = 99, max = 100_000))]
    draws: usize,
    /// Seed of the draws.
    #[serde(default = "seed")]
    #[schemars(with = "limits::Seed")]
    seed: u64,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
}

fn draws() -> usize {
    9999
}

fn seed() -> u64 {
    1
}

static CARD: ModelCard = ModelCard {
    kind: "site_rates",
    title: "Incidence by site",
    estimates: "observed-to-expected ratios by site, tests of heterogeneity, funnel limits and shrunken ratios",
    sends: "its number of cases, visible per site, with person-years and expected cases of its population",
    pools: "sites are shown side by side; the hub tests for heterogeneity and shrinks the ratios",
    differs: "none where no site's number is withheld",
    not_done: "ranking: indirectly standardised ratios of two sites have different weights",
    exchanges: Exchanges::One,
    sources: "Breslow & Day 1987; Potthoff & Whittinghill 1966; Spiegelhalter 2005; Marshall 1991; Clayton & Kaldor 1987; Larsen & Merlo 2005",
    example: "id = \"side_by_side\"\nkind = \"site_rates\"\n\
              incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 1, 5, 10], age_end = 15, years = [2000, 2009] }\n",
};

/// Numbers by site; a hidden number of cases is not a number.
#[derive(Debug)]
pub struct Sites {
    codes: Vec<String>,
    /// Cases, person-years, expected cases.
    cells: Vec<[f64; 3]>,
    /// By site and sex, where asked.
    comparative: Vec<Vec<Compared>>,
}

/// A line of the comparative table; what is hidden or not defined is not a number.
#[derive(Debug, Clone, Copy)]
struct Compared {
    cases: f64,
    person_years: f64,
    standardised: f64,
    std_error: f64,
    /// Cumulative risk, per cent.
    risk: f64,
}

impl Statistic for Sites {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let cases: Vec<f64> = self.cells.iter().map(|c| c[0]).collect();
        let persons = cases.iter().sum::<f64>() as u64;
        let public: Vec<f64> = self.cells.iter().flat_map(|c| [c[1], c[2]]).collect();
        let axis = Axis::new("quantity", ["person-years", "expected"]);
        let cases = Array::new("cases", Vec::new(), Kind::Count, Rule::Stack, cases)?;
        let public = Array::new("population", vec![axis], Kind::Sum, Rule::Stack, public)?;
        let draft = Draft::new(persons)
            .with(cases.shown(), Support::OwnCounts)
            .with(public, Support::Public);
        let Some(own) = self.comparative.first() else { return Ok(draft) };
        // Where one sex has few cases, no line is told, or the others would give it away; a sex without cases is no sex with few.
        let few = own.iter().map(|c| c.cases as u64).filter(|n| *n > 0).min().unwrap_or(0);
        let persons = |c: &Compared| if c.cases > 0.0 { few } else { 0 };
        let support = own.iter().flat_map(|c| [persons(c); 4]).collect();
        let or_zero = |x: f64| if x.is_nan() { 0.0 } else { x };
        let numbers = own.iter().flat_map(|c| [c.cases, c.standardised, c.std_error, c.risk]);
        let is_defined = |x: f64| f64::from(u8::from(!x.is_nan()));
        let public = own
            .iter()
            .flat_map(|c| [c.person_years, is_defined(c.standardised), is_defined(c.risk)]);
        let sex = || Axis::numbered("sex", own.len());
        let quantity = Axis::new("quantity", ["cases", "standardised", "std_error", "risk"]);
        let (axes, numbers) = (vec![sex(), quantity], numbers.map(or_zero).collect());
        let told = Array::new("comparative", axes, Kind::Sum, Rule::Stack, numbers)?;
        let quantity = Axis::new("quantity", ["person-years", "has rate", "has risk"]);
        let (axes, public) = (vec![sex(), quantity], public.collect());
        let public = Array::new("population_by_sex", axes, Kind::Sum, Rule::Stack, public)?;
        Ok(draft.with(told, Support::PerCell(support)).with(public, Support::Public))
    }

    fn from_summary((): &(), summary: &Summary) -> Result<Self, LayoutError> {
        let (cases, public) = (summary.array("cases")?, summary.array("population")?);
        let sites = cases.levels("site");
        let at =
            |array: &Array, i: usize| array.cells().get(i).copied().flatten().unwrap_or(f64::NAN);
        let cells = (0..sites.len())
            .map(|s| [at(cases, s), at(public, 2 * s), at(public, 2 * s + 1)])
            .collect();
        let arrays = (summary.array("comparative"), summary.array("population_by_sex"));
        let comparative = match arrays {
            (Ok(told), Ok(public)) => {
                let sexes = public.levels("sex").len();
                let one = |line: usize| {
                    let of = |q: usize| at(told, 4 * line + q);
                    let is = |q: usize| at(public, 3 * line + q) > 0.0;
                    let rate = |q: usize| if is(1) { of(q) } else { f64::NAN };
                    Compared {
                        cases: of(0),
                        person_years: at(public, 3 * line),
                        standardised: rate(1),
                        std_error: rate(2),
                        risk: if is(2) { of(3) } else { f64::NAN },
                    }
                };
                (0..sites.len()).map(|s| (0..sexes).map(|x| one(s * sexes + x)).collect()).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { codes: sites, cells, comparative })
    }
}

impl OneRound for SiteRates {
    type Options = Options;
    type Statistic = Sites;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = prepare_incidence(&mut options.incidence, context);
        if !faults.is_empty() {
            return faults;
        }
        let cells = &options.incidence;
        options.per.get_or_insert(cells.per());
        let bands = cells.ages.len();
        let n = options.reference.len();
        if n != 0 && (n != bands || options.reference.iter().any(|r| !r.is_finite() || *r < 0.0)) {
            let message = format!("{n} rates for {bands} age bands, or a negative one");
            faults.push(Fault::new("/reference", message).hint("give one rate per age band"));
        }
        // The default need not fit where it is not used.
        if options.comparative || options.standard != super::rate_trend::world() {
            faults.extend(standard_weights(&options.standard, cells).err());
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        incidence_needs(&options.incidence, None)
    }

    fn visibility(&self, _: &Options) -> Visibility {
        Visibility::EachSite
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sites, CohortError> {
        let cells = &options.incidence;
        let counts = cells.count(None, 1, data)?;
        let bands = cells.ages.len();
        let time: f64 = counts.person_years.iter().sum();
        let expected = counts
            .person_years
            .iter()
            .enumerate()
            .map(|(i, y)| match options.reference.get(i % bands) {
                Some(rate) => y * rate / options.per.unwrap_or(1e5),
                None => *y,
            })
            .sum();
        let cases = counts.cases.iter().chain(&counts.unknown_age).sum();
        let comparative = if options.comparative {
            vec![comparative(options, cells, &counts)?]
        } else {
            Vec::new()
        };
        Ok(Sites { codes: Vec::new(), cells: vec![[cases, time, expected]], comparative })
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Sites,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        Ok(result(options, pooled, sites))
    }
}

/// A site's line for both sexes and for each: rates are rounded as they are printed, or the counts by age could be worked out from
/// all their digits and the population.
fn comparative(
    options: &Options,
    cells: &Incidence,
    counts: &IncidenceCounts,
) -> Result<Vec<Compared>, CohortError> {
    let weights = standard_weights(&options.standard, cells)
        .map_err(|_| LayoutError::Missing { array: "standard".into() })?;
    let per = options.per.unwrap_or(1e5);
    let (bands, years) = (cells.ages.len(), cells.len());
    let widths: Vec<f64> = (0..bands)
        .map(|i| match cells.band(i) {
            // An open band has no width.
            [_, u32::MAX] => 0.0,
            [from, to] => f64::from(to - from),
        })
        .collect();
    let rounded = |x: f64, digits: i32| (x * 10_f64.powi(digits)).round() / 10_f64.powi(digits);
    let one = |sexes: std::ops::Range<usize>| -> Compared {
        let (mut d, mut y, mut unknown) = (vec![0.0; bands], vec![0.0; bands], 0.0);
        for line in sexes.start * years..sexes.end * years {
            unknown += counts.unknown_age[line];
            for b in 0..bands {
                d[b] += counts.cases[line * bands + b];
                y[b] += counts.person_years[line * bands + b];
            }
        }
        let known: f64 = d.iter().sum();
        let all = known + unknown;
        // Cases of unknown age have the ages of the others.
        let correction = if known > 0.0 { all / known } else { 1.0 };
        let scale = per * correction;
        let rate = WeightedRate::new(&d, &y, &weights);
        let cumulative = WeightedRate::new(&d, &y, &widths);
        Compared {
            cases: all,
            person_years: y.iter().sum(),
            standardised: rate.map_or(f64::NAN, |w| rounded(w.rate * scale, 1)),
            std_error: rate.map_or(f64::NAN, |w| rounded(w.variance.sqrt() * scale, 2)),
            risk: cumulative
                .map_or(f64::NAN, |w| rounded(-100.0 * (-correction * w.rate).exp_m1(), 2)),
        }
    };
    let sexes = cells.sexes();
    let mut lines = vec![one(0..sexes)];
    if sexes > 1 {
        lines.extend((0..sexes).map(|s| one(s..s + 1)));
    }
    Ok(lines)
}

fn comparative_lines(options: &Options, all: &Sites) -> Vec<Comparative> {
    let sexes = &options.incidence.sexes;
    let per = options.per.unwrap_or(1e5);
    let mut rows = Vec::new();
    for (site, lines) in all.codes.iter().zip(&all.comparative) {
        for (x, line) in lines.iter().enumerate() {
            let sex = x.checked_sub(1).and_then(|x| sexes.get(x)).map_or("all", String::as_str);
            let Compared { cases, person_years, standardised, std_error, risk } = *line;
            let status = match (cases.is_nan(), person_years > 0.0, standardised.is_nan()) {
                (true, ..) => Status::Suppressed,
                (_, false, _) => Status::NoRiskSet,
                (.., true) => Status::NotIdentified,
                _ => Status::Ok,
            };
            let shown =
                |x: f64| Some(x).filter(|_| matches!(status, Status::Ok | Status::NotIdentified));
            rows.push(Comparative {
                site: site.clone(),
                sex: sex.to_owned(),
                cases: shown(cases),
                person_years: shown(person_years),
                rate: shown(per * cases / person_years),
                standardised_rate: shown(standardised),
                std_error: shown(std_error),
                cumulative_risk: shown(risk),
                status,
            });
        }
    }
    rows
}

fn result(options: &Options, all: &Sites, sites: usize) -> Estimate {
    let level = options.confidence_level.share();
    let per = options.per.unwrap_or(1e5);
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    let rule = if options.reference.is_empty() { "one-rate" } else { "stated-rates" };
    estimate.line("expected", rule, &[]);
    estimate.line("rate-per", "person-years", &[("per", per.to_string())]);
    let draws = [("n", options.draws.to_string()), ("seed", options.seed.to_string())];
    estimate.line("exact-test", "draws", &draws);
    estimate.line("interval", "exact-poisson", &[("level", (100.0 * level).to_string())]);
    let known: Vec<usize> = (0..all.codes.len()).filter(|&i| all.cells[i][0].is_finite()).collect();
    let used: Vec<usize> = known.iter().copied().filter(|&i| all.cells[i][2] > 0.0).collect();
    let observed: Vec<f64> = used.iter().map(|&i| all.cells[i][0]).collect();
    // Without stated rates, expected cases are person-years at the common rate.
    let total: f64 = observed.iter().sum();
    let base: f64 = used.iter().map(|&i| all.cells[i][2]).sum();
    let scale = if options.reference.is_empty() && base > 0.0 { total / base } else { 1.0 };
    let expected: Vec<f64> = used.iter().map(|&i| all.cells[i][2] * scale).collect();
    let ratio = if base > 0.0 { total / (base * scale).max(f64::MIN_POSITIVE) } else { 0.0 };
    let moments = shrink_by_moments(&observed, &expected);
    let likelihood = shrink_by_likelihood(&observed, &expected);
    let mut rows = Vec::new();
    for (i, site) in all.codes.iter().enumerate() {
        let [cases, time, _] = all.cells[i];
        let row = SiteRate {
            site: site.clone(),
            cases: Some(cases),
            person_years: Some(time),
            ..SiteRate::default()
        };
        let Some(at) = used.iter().position(|&u| u == i) else {
            let hidden = !cases.is_finite();
            let status = if hidden { Status::Suppressed } else { Status::NoRiskSet };
            rows.push(SiteRate { status, ..row });
            continue;
        };
        let limits = garwood(cases, level);
        let [conf_low, conf_high] = limits.map(|l| Some(per * l / time));
        let status = if cases > 0.0 { Status::Ok } else { Status::OneSided };
        let row = SiteRate { rate: Some(per * cases / time), conf_low, conf_high, status, ..row };
        let e = expected[at];
        if e <= 0.0 || total <= 0.0 {
            rows.push(row);
            continue;
        }
        let [funnel_low, funnel_high] = funnel_limits(ratio, e, 0.95).map(Some);
        let [outer_low, outer_high] = funnel_limits(ratio, e, 0.998).map(Some);
        rows.push(SiteRate {
            expected: Some(e),
            ratio: Some(cases / e),
            ratio_low: Some(limits[0] / e),
            ratio_high: Some(limits[1] / e),
            funnel_low,
            funnel_high,
            outer_low,
            outer_high,
            shrunk_moments: moments.as_ref().map(|m| m.ratios[at]),
            shrunk_likelihood: likelihood.as_ref().map(|m| m.ratios[at]),
            ..row
        });
    }
    estimate.tables.push(Table::of(rows));
    let time: f64 = used.iter().map(|&i| all.cells[i][1]).sum();
    if !used.is_empty() {
        let row = all_sites(options, [total, time, base], used.len());
        estimate.tables.push(Table::of([row]));
    }
    let lines = comparative_lines(options, all);
    if !lines.is_empty() {
        let standard = std::slice::from_ref(&options.standard);
        super::rate_trend::standards_line(&mut estimate, standard, &options.incidence);
        estimate.tables.push(Table::of(lines));
    }
    let hidden = all.codes.len() - known.len();
    if hidden > 0 {
        estimate.notice(Notice::new(
            Status::Suppressed,
            "sites-hidden",
            &[("n", hidden.to_string())],
        ));
    }
    let without: Vec<&str> =
        known.iter().filter(|i| !used.contains(i)).map(|&i| all.codes[i].as_str()).collect();
    if !without.is_empty() {
        let values = [("sites", without.join(", "))];
        estimate.notice(Notice::new(Status::NoRiskSet, "sites-without-population", &values));
    }
    let rows = heterogeneity(options, &observed, &expected, ratio);
    estimate.tables.push(Table::of(rows));
    if total <= 0.0 {
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
    }
    estimate
}

/// All sites that show their cases and have a population, together: their rate, and with stated rates the ratio of observed to
/// expected cases. Without, that ratio is one by construction.
fn all_sites(options: &Options, [cases, time, expected]: [f64; 3], sites: usize) -> AllSites {
    let level = options.confidence_level.share();
    let per = options.per.unwrap_or(1e5);
    let limits = garwood(cases, level);
    let [conf_low, conf_high] = limits.map(|x| Some(per * x / time));
    let of_stated = |x: f64| (!options.reference.is_empty()).then_some(x);
    let [ratio_low, ratio_high] = limits.map(|x| of_stated(x / expected));
    AllSites {
        sites: Some(sites as f64),
        cases: Some(cases),
        person_years: Some(time),
        rate: Some(per * cases / time),
        conf_low,
        conf_high,
        expected: of_stated(expected),
        ratio: of_stated(cases / expected),
        ratio_low,
        ratio_high,
        status: if cases > 0.0 { Status::Ok } else { Status::OneSided },
    }
}

fn heterogeneity(
    options: &Options,
    observed: &[f64],
    expected: &[f64],
    ratio: f64,
) -> Vec<Heterogeneity> {
    let mut rows = Vec::new();
    let found = homogeneity(observed, expected, options.draws, options.seed);
    let mut push = |name: &str, value: Number, df: Number, p_value: Number| {
        let status = match (value, observed.len()) {
            (Some(_), _) => Status::Ok,
            (None, 0 | 1) => Status::KTooSmall,
            (None, _) => Status::NoEvents,
        };
        rows.push(Heterogeneity { quantity: name.to_owned(), value, df, p_value, status });
    };
    push("χ²", found.map(|f| f.chi_squared), found.map(|f| f.df), found.map(|f| f.p_value));
    push("χ², exact", found.map(|f| f.chi_squared), None, found.map(|f| f.exact_p_value));
    push(
        "Potthoff–Whittinghill",
        found.map(|f| f.potthoff_whittinghill),
        None,
        found.map(|f| f.potthoff_whittinghill_p_value),
    );
    let phi = found.map(|_| overdispersion(observed, expected, ratio));
    push("overdispersion φ", phi, None, None);
    let shrunk = found.and_then(|_| shrink_by_likelihood(observed, expected));
    let tau2 = shrunk.map(|s| s.variance / (s.mean * s.mean));
    push("variance of the ratios", tau2, None, None);
    push("median rate ratio", tau2.map(median_rate_ratio), None, None);
    rows
}
