//! Names of methods and tests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_stats::{
    effect_size::Measure,
    random_effects::{Tau2Estimator, Test},
    random_effects_glmm::Model,
};

use super::Kind;

/// How effects are pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    /// Common effect, inverse variance.
    #[serde(rename = "EE")]
    Common,
    /// Common effect, Mantel–Haenszel.
    #[serde(rename = "MH")]
    MantelHaenszel,
    /// Common effect, Peto.
    #[serde(rename = "PETO")]
    Peto,
    /// Common odds ratio given all margins, exact.
    #[serde(rename = "EXACT")]
    Exact,
    /// DerSimonian–Laird.
    #[serde(rename = "DL")]
    DerSimonianLaird,
    /// Generalised Q with weights of one's own.
    #[serde(rename = "GENQ")]
    GeneralisedQ,
    /// Hedges.
    #[serde(rename = "HE")]
    Hedges,
    /// Hunter–Schmidt.
    #[serde(rename = "HS")]
    HunterSchmidt,
    /// Sidik–Jonkman.
    #[serde(rename = "SJ")]
    SidikJonkman,
    /// Maximum likelihood.
    #[serde(rename = "ML")]
    MaximumLikelihood,
    /// Restricted maximum likelihood.
    #[serde(rename = "REML")]
    Reml,
    /// Paule–Mandel.
    #[serde(rename = "PM")]
    PauleMandel,
    /// Paule–Mandel, median unbiased.
    #[serde(rename = "PMM")]
    MedianPauleMandel,
    /// Empirical Bayes, which solves the equation of Paule and Mandel.
    #[serde(rename = "EB")]
    EmpiricalBayes,
    /// Rare events, a free level per study.
    #[serde(rename = "GLMM-UM.FS")]
    FixedStudy,
    /// Rare events, normal levels.
    #[serde(rename = "GLMM-UM.RS")]
    RandomStudy,
    /// Rare events, given the margins.
    #[serde(rename = "GLMM-CM.EL")]
    Conditional,
    /// Rare events, given the margins, approximate.
    #[serde(rename = "GLMM-CM.AL")]
    ConditionalApproximate,
    /// Beta-binomial risks of the arms.
    #[serde(rename = "BETABIN")]
    BetaBinomial,
    /// Bayesian random effects.
    #[serde(rename = "BAYES")]
    Bayes,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 20] = [
        Self::Common,
        Self::MantelHaenszel,
        Self::Peto,
        Self::Exact,
        Self::DerSimonianLaird,
        Self::GeneralisedQ,
        Self::Hedges,
        Self::HunterSchmidt,
        Self::SidikJonkman,
        Self::MaximumLikelihood,
        Self::Reml,
        Self::PauleMandel,
        Self::MedianPauleMandel,
        Self::EmpiricalBayes,
        Self::FixedStudy,
        Self::RandomStudy,
        Self::Conditional,
        Self::ConditionalApproximate,
        Self::BetaBinomial,
        Self::Bayes,
    ];

    /// Its name in tables and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Common => "EE",
            Self::MantelHaenszel => "MH",
            Self::Peto => "PETO",
            Self::Exact => "EXACT",
            Self::DerSimonianLaird => "DL",
            Self::GeneralisedQ => "GENQ",
            Self::Hedges => "HE",
            Self::HunterSchmidt => "HS",
            Self::SidikJonkman => "SJ",
            Self::MaximumLikelihood => "ML",
            Self::Reml => "REML",
            Self::PauleMandel => "PM",
            Self::MedianPauleMandel => "PMM",
            Self::EmpiricalBayes => "EB",
            Self::FixedStudy => "GLMM-UM.FS",
            Self::RandomStudy => "GLMM-UM.RS",
            Self::Conditional => "GLMM-CM.EL",
            Self::ConditionalApproximate => "GLMM-CM.AL",
            Self::BetaBinomial => "BETABIN",
            Self::Bayes => "BAYES",
        }
    }

    /// The estimator of τ², for methods on estimates and variances.
    pub fn estimator(self) -> Option<Tau2Estimator> {
        Some(match self {
            Self::Common => Tau2Estimator::Common,
            Self::DerSimonianLaird => Tau2Estimator::DerSimonianLaird,
            Self::Hedges => Tau2Estimator::Hedges,
            Self::HunterSchmidt => Tau2Estimator::HunterSchmidt,
            Self::SidikJonkman => Tau2Estimator::SidikJonkman,
            Self::MaximumLikelihood => Tau2Estimator::MaximumLikelihood,
            Self::Reml => Tau2Estimator::Reml,
            Self::PauleMandel | Self::EmpiricalBayes => Tau2Estimator::PauleMandel,
            Self::MedianPauleMandel => Tau2Estimator::MedianPauleMandel,
            Self::MantelHaenszel
            | Self::Peto
            | Self::Exact
            | Self::GeneralisedQ
            | Self::FixedStudy
            | Self::RandomStudy
            | Self::Conditional
            | Self::ConditionalApproximate
            | Self::BetaBinomial
            | Self::Bayes => return None,
        })
    }

    pub(super) fn glmm(self) -> Option<Model> {
        match self {
            Self::FixedStudy => Some(Model::FixedStudy),
            Self::RandomStudy => Some(Model::RandomStudy),
            Self::Conditional => Some(Model::Conditional),
            Self::ConditionalApproximate => Some(Model::ConditionalApproximate),
            _ => None,
        }
    }

    /// Whether it integrates over the studies' own effects.
    pub fn is_glmm(self) -> bool {
        self.glmm().is_some()
    }

    /// Whether it applies to a kind of data and a measure.
    pub fn fits(self, kind: Kind, measure: Measure) -> bool {
        match self {
            Self::MantelHaenszel => matches!(
                measure,
                Measure::OddsRatio
                    | Measure::RiskRatio
                    | Measure::RiskDifference
                    | Measure::RateRatio
                    | Measure::RateDifference
            ),
            Self::Peto => matches!(measure, Measure::OddsRatio | Measure::Peto),
            Self::ConditionalApproximate | Self::Exact => {
                measure == Measure::OddsRatio && kind == Kind::TwoArms
            }
            Self::BetaBinomial => matches!(
                measure,
                Measure::OddsRatio
                    | Measure::RiskRatio
                    | Measure::RiskDifference
                    | Measure::Logit
                    | Measure::Proportion
                    | Measure::LogProportion
            ),
            Self::FixedStudy | Self::RandomStudy => {
                matches!(measure, Measure::OddsRatio | Measure::RateRatio)
            }
            Self::Conditional => {
                matches!(measure, Measure::OddsRatio | Measure::RateRatio | Measure::Logit)
            }
            _ => true,
        }
    }
}

/// Interval of the average effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TestRule {
    /// Normal.
    Z,
    /// t with k − 1 degrees of freedom.
    T,
    /// Hartung–Knapp.
    Hksj,
    /// Hartung–Knapp, never narrower than the normal one.
    HksjFloor,
}

impl TestRule {
    /// All rules.
    pub const ALL: [Self; 4] = [Self::Z, Self::T, Self::Hksj, Self::HksjFloor];

    /// The kernel's test.
    pub fn test(self) -> Test {
        match self {
            Self::Z => Test::Z,
            Self::T => Test::T,
            Self::Hksj => Test::HartungKnapp,
            Self::HksjFloor => Test::HartungKnappFloor,
        }
    }

    /// Its name in tables and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Z => "z",
            Self::T => "t",
            Self::Hksj => "hksj",
            Self::HksjFloor => "hksj-floor",
        }
    }
}

/// Limits of prediction intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// t with k − 1 degrees of freedom whatever the test (Higgins, Thompson & Spiegelhalter 2009, with the degrees of `meta`).
    #[default]
    #[serde(rename = "t-k-1")]
    TK1,
    /// As the test of the average has them: normal with z, else t with k − 1 degrees of freedom, as `metafor`.
    AsTest,
}

impl Prediction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::TK1, Self::AsTest];

    /// Its name on the command line and in the method card.
    pub fn word(self) -> &'static str {
        match self {
            Self::TK1 => "t-k-1",
            Self::AsTest => "as-test",
        }
    }
}
