//! The model with quantities: in each round the hub broadcasts parameters, and each site sends log-likelihood, score and information,
//! summed over its persons and bands. Covariates are centred at the means of the patients on the way.

use tributary_core::{
    cohort::{CohortError, SiteData},
    estimate::{Estimate, Exactness, Status},
    model::{
        Ascent, DesignTerm, FitError, Question, RegressionRows, Round, Step, Sums, ascend_with,
        refusal, telling_columns,
    },
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    jet::Jet,
    likelihood::{Derivatives, LARGEST, Predictor, packed, sum_pieces},
    poisson::Thirds,
};

use super::{
    Counts, Followed, Options,
    result::{Shown, refuse},
};

/// What the first round said.
pub(super) struct Start {
    by_band: Vec<Counts>,
    /// Persons at risk in each band.
    at_risk: Vec<f64>,
    /// Means of the covariates over the patients.
    pub(super) centre: Vec<f64>,
    /// Covariates that are neither constant nor a combination of bands and of those before them.
    pub(super) kept: Vec<usize>,
    persons: f64,
}

/// A site's answer.
pub(super) fn answer(
    options: &Options,
    question: &Question,
    data: &SiteData,
) -> Result<Sums, CohortError> {
    let rows = RegressionRows::new(&options.followup, &options.needed(), &options.design, data)?;
    let followed = Followed::new(options, &rows.survival, data)?;
    let Question::At { theta, centre, .. } = question else {
        return Ok(start(options, &rows, &followed));
    };
    let names = rows.names(&options.all_terms(), theta, centre)?;
    let (bands, mean) = (options.bands_years.len(), options.mean());
    let penalised = if options.firth { theta.len() } else { 0 };
    let zero = || (Derivatives::zero(theta.len()), Thirds::zero(penalised));
    let (derivatives, thirds) = sum_pieces(
        rows.survival.rows.len(),
        zero,
        |i, (sum, thirds)| {
            let x = &rows.with_intercept(i, centre)[1..];
            let covariates = Predictor { first: bands, z: x };
            for (band, Counts { events, time, expected }) in followed.of_person(i) {
                let of_band = Predictor { first: band, z: &[1.0] };
                let eta: Jet<2> =
                    Jet::variable(theta[band], 0) + Jet::variable(covariates.at(theta), 1);
                let contribution = mean.contribution(events, time, expected, eta);
                sum.add(&contribution, 1.0, [of_band, covariates]);
                if options.firth {
                    let mut z = vec![(band, 1.0)];
                    z.extend(x.iter().enumerate().map(|(j, x)| (bands + j, *x)));
                    thirds.add(mean.scale(time, expected) * eta.value.exp(), &z);
                }
            }
        },
        |(sum, thirds), (more, third)| {
            sum.join(more);
            thirds.join(third);
        },
    );
    if !options.firth {
        return Ok(rows.answer(&names, derivatives));
    }
    let triples = Axis::numbered("triple", thirds.0.len());
    if thirds.0.iter().all(|x| x.abs() <= LARGEST) {
        return Ok(rows.answer(&names, derivatives).sums("third", vec![triples], thirds.0));
    }
    let impossible = rows.answer(&names, Derivatives::impossible(names.len()));
    Ok(impossible.sums("third", vec![triples], vec![0.0; thirds.0.len()]))
}

/// The first answer: counts by band, and sums of the covariates over persons and bands.
fn start(options: &Options, rows: &RegressionRows, followed: &Followed<'_>) -> Sums {
    let (bands, p) = (options.bands_years.len(), options.design.len());
    let mut by_band = vec![Counts::default(); bands];
    let (mut at_risk, mut sum_band) = (vec![0.0; bands], vec![0.0; bands * p]);
    let mut sum_xx = vec![0.0; p * (p + 1) / 2];
    for i in 0..rows.survival.rows.len() {
        for (band, counts) in followed.of_person(i) {
            by_band[band].join(&counts);
            // Nothing can happen where nothing is expected.
            if options.mean().scale(counts.time, counts.expected) <= 0.0 {
                continue;
            }
            at_risk[band] += 1.0;
            for (j, left) in rows.columns.iter().enumerate() {
                sum_band[band * p + j] += left[i];
                for (k, right) in rows.columns[..=j].iter().enumerate() {
                    sum_xx[packed(j, k)] += left[i] * right[i];
                }
            }
        }
    }
    let sum_x = rows.columns.iter().map(|column| column.iter().sum()).collect();
    let (band, term) =
        (|| options.band_axis(), || Axis::new("term", options.design.iter().map(DesignTerm::name)));
    let pair = Axis::numbered("pair", sum_xx.len());
    options
        .with_counts(Sums::of(&rows.survival), &[band()], &by_band)
        .counts("at_risk", vec![band()], at_risk)
        .sums("sum_x", vec![term()], sum_x)
        .sums("sum_x_by_band", vec![band(), term()], sum_band)
        .sums("sum_xx", vec![pair], sum_xx)
}

impl Start {
    fn read(sums: &Sums) -> Result<Self, LayoutError> {
        let persons = sums.one("persons")?;
        let centre: Vec<f64> = sums.get("sum_x")?.iter().map(|s| s / persons.max(1.0)).collect();
        let (at_risk, by_band) = (sums.get("at_risk")?, sums.get("sum_x_by_band")?);
        let means: Vec<Vec<f64>> = at_risk
            .iter()
            .zip(by_band.chunks(centre.len().max(1)))
            .map(|(n, sums)| sums.iter().map(|s| s / n.max(1.0)).collect())
            .collect();
        let groups: Vec<(f64, &[f64])> =
            at_risk.iter().zip(&means).map(|(n, means)| (*n, means.as_slice())).collect();
        Ok(Self {
            by_band: Counts::read(sums)?,
            kept: telling_columns(sums.get("sum_xx")?, &groups),
            at_risk: at_risk.to_vec(),
            centre,
            persons,
        })
    }

    /// Parameters that can be estimated: bands in which somebody was at risk, and the covariates that were kept.
    fn parameters(&self) -> Vec<usize> {
        let bands = self.at_risk.len();
        let followed = (0..bands).filter(|&b| self.at_risk[b] > 0.0);
        followed.chain(self.kept.iter().map(|j| bands + j)).collect()
    }
}

/// The next question or the result.
pub(super) fn advance(
    options: &Options,
    rounds: &[Round<Option<Question>, Sums>],
) -> Result<Step<Option<Question>>, FitError> {
    let first = rounds.first().ok_or(FitError::NoRounds)?;
    let start = Start::read(&first.pooled)?;
    let shown = Shown { options, by_band: &start.by_band, persons: start.persons };
    let kept = start.parameters();
    let mut estimate = Estimate::new(Exactness::Exact, first.sites);
    options.card_lines(&mut estimate);
    first.pooled.left_out_notices(&mut estimate);
    let why = refusal(shown.events(), kept.len());
    // Few events are what the penalty is for.
    if let Some(why) = why.filter(|(status, _)| !options.firth || *status == Status::NoEvents) {
        let values =
            [("parameters", kept.len().to_string()), ("events", shown.events().to_string())];
        refuse(&shown, &mut estimate, why, &values);
        return Ok(Step::Done(Box::new(estimate)));
    }
    let ascent = ascend_with(
        rounds,
        options.most_evaluations(),
        &start.centre,
        &[],
        &kept,
        || options.start(&start.by_band),
        |evaluation, answer| {
            if options.firth {
                Thirds(answer.get("third")?.to_vec()).penalise(evaluation, &kept);
            }
            Ok(())
        },
    )?;
    let mut fitted = match ascent {
        Ascent::Ask(question) => return Ok(Step::Ask(Some(question))),
        Ascent::Ended(fitted) => fitted,
    };
    let bands = start.by_band.len();
    fitted.uncentre_at(0..bands, bands, &start.centre);
    let short = start.by_band.iter().filter(|c| c.time > 0.0 && c.events < c.expected).count();
    shown.fit(&mut estimate, &fitted, short);
    estimate.tables.extend(shown.reference_rates(&fitted, &start));
    Ok(Step::Done(Box::new(estimate)))
}
