//! Options that are asked for and that nothing would use are refused by name.

use tributary_stats::effect_size::AddTo;

use super::{DataError, Dataset, Kind, Method, Options, Prediction, TestRule};

fn unused(option: &'static str, reason: String) -> Result<(), DataError> {
    Err(DataError::Unused { option, reason })
}

fn words(methods: &[Method]) -> String {
    methods.iter().map(|m| m.word()).collect::<Vec<_>>().join(", ")
}

/// Whether a method pools estimates with a between-study variance or none, so that tests apply to it.
pub(super) fn takes_tests(method: Method) -> bool {
    method.estimator().is_some() || method == Method::GeneralisedQ
}

/// Whether its interval is the normal one.
fn is_normal(method: Method) -> bool {
    matches!(method, Method::MantelHaenszel | Method::Peto | Method::BetaBinomial)
}

/// Tests, of which each has to be used by a method.
pub fn check_tests(tests: &[TestRule], methods: &[Method]) -> Result<(), DataError> {
    let fits = |test: TestRule, m: Method| takes_tests(m) || test == TestRule::Z && is_normal(m);
    let idle = tests.iter().find(|t| !methods.iter().any(|m| fits(**t, *m)));
    match idle {
        Some(test) => unused(
            "--test",
            format!(
                "{} has limits of its own and does not use `{}`; leave the test out, or name a method such as REML",
                words(methods),
                test.word()
            ),
        ),
        None => Ok(()),
    }
}

/// Methods and tests that are named twice: each would be a row twice.
pub fn check_named(methods: &[Method], tests: &[TestRule]) -> Result<(), DataError> {
    let methods = methods.iter().map(|m| ("method", m.word()));
    let mut seen = Vec::new();
    for (what, word) in methods.chain(tests.iter().map(|t| ("test", t.word()))) {
        if seen.contains(&(what, word)) {
            return Err(DataError::NamedTwice { what, word });
        }
        seen.push((what, word));
    }
    Ok(())
}

/// What is asked for and used by none of the methods.
pub(super) fn check(
    data: &Dataset,
    options: &Options,
    methods: &[Method],
    with_stages: bool,
) -> Result<(), DataError> {
    let uses = |method: Method| methods.contains(&method);
    if data.kind == Kind::Generic && options.correction.to != AddTo::None {
        return unused("--to", "the file has estimates, which have no cells to add to".into());
    }
    check_tests(&options.tests, methods)?;
    let regressed = [
        ("--moderators", !options.moderators.is_empty()),
        ("--subgroup", options.subgroup.is_some()),
        ("--cluster", options.cluster.is_some()),
        ("--permutations", options.permutations > 0),
        ("--order", options.order.is_some()),
    ];
    let named = &options.methods;
    let pools_only = !named.is_empty() && !named.iter().any(|m| m.estimator().is_some());
    if let Some((option, _)) = regressed.into_iter().find(|(_, asked)| pools_only && *asked) {
        let reason = format!(
            "{} is for pooling only; name REML, or another estimator of the between-study variance, first",
            words(named)
        );
        return unused(option, reason);
    }
    if !options.weights.is_empty() && !uses(Method::GeneralisedQ) {
        let reason = format!("{} has weights of its own; name --method GENQ", words(methods));
        return unused("--weights", reason);
    }
    if options.prior.is_some() && !uses(Method::Bayes) {
        let reason = format!("{} has no prior; name --method BAYES", words(methods));
        return unused("--prior", reason);
    }
    if options.nodes.is_some() && !with_stages && !methods.iter().any(|m| m.is_glmm()) {
        let reason = format!("{} integrates over nothing; name a method GLMM", words(methods));
        return unused("--nodes", reason);
    }
    let predicts = |m: &Method| takes_tests(*m) && *m != Method::Common;
    if options.prediction != Prediction::default() && !methods.iter().any(predicts) {
        let reason = format!("{} gives no prediction interval of this kind", words(methods));
        return unused("--prediction", reason);
    }
    Ok(())
}

/// The same where outcomes are pooled together: by REML or maximum likelihood, with normal limits.
pub(super) fn check_outcomes(data: &Dataset, options: &Options) -> Result<(), DataError> {
    if let Some(method) =
        options.methods.iter().find(|m| !matches!(m, Method::Reml | Method::MaximumLikelihood))
    {
        let reason = format!(
            "outcomes are pooled together by REML or ML, not by {}; common effects are --structure NONE",
            method.word()
        );
        return unused("--method", reason);
    }
    if options.methods.len() > 1 {
        return unused("--method", "outcomes are pooled together by one method, REML or ML".into());
    }
    if let Some(test) = options.tests.iter().find(|t| **t != TestRule::Z) {
        let reason = format!("outcomes have normal limits (z), not `{}`", test.word());
        return unused("--test", reason);
    }
    if options.prediction != Prediction::default() {
        return unused("--prediction", "outcomes have no prediction intervals".into());
    }
    let method = options.methods.first().copied().unwrap_or(Method::Reml);
    check(data, options, &[method], false)
}
