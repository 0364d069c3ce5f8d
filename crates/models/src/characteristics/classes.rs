//! Classes of a quantity: of one width, or between cuts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    limits,
    spec::{Fault, Variable},
};

/// Most classes of a quantity.
const MOST_CLASSES: usize = 100_000;

/// Classes of a quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Classes {
    /// Of one width.
    Even(Even),
    /// Between cuts.
    Uneven(Uneven),
}

/// Classes of one width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Even {
    /// Lower edge of the first class.
    #[schemars(with = "limits::Quantity")]
    from: f64,
    /// Largest value.
    #[schemars(with = "limits::Quantity")]
    to: f64,
    /// Width; 1 keeps whole numbers apart, and then quantiles are exact.
    #[schemars(with = "limits::Units")]
    width: f64,
}

/// Classes between cuts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Uneven {
    /// Lower edge of each class and upper edge of the last, ascending; a class holds its lower edge.
    #[schemars(with = "Vec<limits::Quantity>")]
    cuts: Vec<f64>,
}

impl Classes {
    /// Those of the dictionary: of its class width, else the bands of its grain.
    pub(super) fn of(variable: &Variable) -> Option<Self> {
        if let (Some([from, to]), Some(width)) = (variable.range, variable.class_width) {
            return Some(Self::Even(Even { from, to, width }));
        }
        variable.bands().map(|cuts| Self::Uneven(Uneven { cuts }))
    }

    /// Whether each class is one whole number.
    pub(super) fn discrete(&self) -> bool {
        matches!(self, Self::Even(even) if (even.width - 1.0).abs() < 1e-12)
    }

    /// Number of classes.
    pub(super) fn count(&self) -> usize {
        match self {
            // One more class so that `to` itself has one.
            Self::Even(even) => ((even.to - even.from) / even.width).floor() as usize + 1,
            Self::Uneven(uneven) => uneven.cuts.len().saturating_sub(1),
        }
    }

    /// Lower edge of a class; of the class after the last, the upper edge of that.
    pub(super) fn edge(&self, class: usize) -> f64 {
        match self {
            Self::Even(even) => even.from + class as f64 * even.width,
            Self::Uneven(uneven) => uneven.cuts[class],
        }
    }

    /// All edges.
    pub(super) fn edges(&self) -> Vec<f64> {
        (0..=self.count()).map(|class| self.edge(class)).collect()
    }

    /// The class of a value, if it has one.
    pub(super) fn class_of(&self, x: f64) -> Option<usize> {
        let class = match self {
            Self::Even(even) => {
                let class = ((x - even.from) / even.width).floor();
                (class >= 0.0).then_some(class as usize)?
            }
            Self::Uneven(uneven) => uneven.cuts.partition_point(|cut| *cut <= x).checked_sub(1)?,
        };
        (class < self.count()).then_some(class)
    }

    /// A value in the middle of all, about which sums are formed.
    pub(super) fn middle(&self) -> f64 {
        match self {
            Self::Even(even) => f64::midpoint(even.from, even.to),
            Self::Uneven(uneven) => {
                let [first, last] = [uneven.cuts.first(), uneven.cuts.last()];
                f64::midpoint(first.copied().unwrap_or(0.0), last.copied().unwrap_or(0.0))
            }
        }
    }

    /// What is wrong with them; `at` is their place among the options.
    pub(super) fn fault(&self, at: &str) -> Option<Fault> {
        match self {
            Self::Even(Even { from, to, .. }) if to <= from => {
                let message = format!("no class lies between {from} and {to}");
                Some(Fault::new(format!("{at}/to"), message))
            }
            Self::Even(_) if self.count() > MOST_CLASSES => {
                let message = format!("{} classes, at most {MOST_CLASSES} are sent", self.count());
                Some(Fault::new(format!("{at}/width"), message))
            }
            Self::Uneven(Uneven { cuts })
                if cuts.len() < 2 || !cuts.windows(2).all(|w| w[0] < w[1]) =>
            {
                let message = "classes lie between at least two cuts, in ascending order";
                Some(Fault::new(format!("{at}/cuts"), message).hint("cuts = [0, 1, 5, 10, 15, 20]"))
            }
            Self::Even(_) | Self::Uneven(_) => None,
        }
    }
}
