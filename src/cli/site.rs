//! `tributary site`: quality report, and a preview of every number that would leave.

use std::path::Path;

use anyhow::{Context, bail};

use super::{Ending, read};
use crate::{
    plan::Plan,
    site::{self, Registry, SiteFolder},
    summary::{Array, HidingRule, Visibility},
};

pub(super) fn check(folder: &Path, study: Option<&Path>) -> anyhow::Result<Ending> {
    let path = match study {
        Some(path) => path.to_owned(),
        None => folder
            .canonicalize()
            .with_context(|| format!("{} cannot be read", folder.display()))?
            .ancestors()
            .map(|above| above.join("study.toml"))
            .find(|path| path.is_file())
            .context("there is no study.toml in the parent folders; name it with --study")?,
    };
    let study = read::study(&path)?;
    let folder = SiteFolder::open(folder)?;
    let report = site::check(&folder, &study.dictionary);
    say!("{}", report.to_string().trim_end());
    for line in folder.without_effect(&study.policy) {
        say!("{line}");
    }
    let errors: Vec<String> = report.errors().iter().map(ToString::to_string).collect();
    if !errors.is_empty() {
        bail!("{}", errors.join("\n\n"));
    }
    Ok(if report.is_clean() { Ending::Done } else { Ending::Look })
}

pub(super) fn preview(spec: &Path, folder: &Path) -> anyhow::Result<Ending> {
    let plan = read::plan(spec)?;
    let registry = Registry::open(SiteFolder::open(folder)?, &plan.study.dictionary)?;
    print_preview(&plan, &registry)
}

/// Prints every number of the first round, and who would read it.
pub(super) fn print_preview(plan: &Plan, registry: &Registry) -> anyhow::Result<Ending> {
    let (run, _) = crate::run::Run::open(
        &plan.hash,
        std::iter::once(registry.folder.code.clone()).collect(),
        plan.model_runs()?,
    );
    let answers = site::answer(plan, registry, 0, &run.questions())?;
    say!("specification {}\nsite {} ({})", plan.hash, registry.folder.code, registry.folder.name);
    for line in registry.folder.without_effect(&plan.study.policy) {
        say!("{line}");
    }
    for line in registry.left_out() {
        say!("{line}");
    }
    let mut ending = Ending::Done;
    for model in &plan.spec.models {
        let visibility = plan.visibility(&model.id).context("every model has a visibility")?;
        let read = match visibility {
            Visibility::SumOnly => {
                "sealed: nobody can read this site's part; only the sum over the sites is opened"
            }
            Visibility::EachSite => {
                "visible: the hub and the readers of the report see these numbers"
            }
        };
        say!("\n== {} ({})\n   {read}", model.id, model.kind);
        match answers.outgoing.get(&model.id).map(|outgoing| &outgoing.released) {
            Some(Ok(summary)) => {
                for array in summary.arrays() {
                    let rules: Vec<&str> = summary
                        .hidden()
                        .iter()
                        .filter(|h| h.array == array.name())
                        .map(|h| match h.rule {
                            HidingRule::MinCell => "min_cell",
                            HidingRule::Complement => "complementary",
                        })
                        .collect();
                    print_array(array, &rules.join(" and "));
                }
            }
            Some(Err(_)) => {
                let reason =
                    answers.refusals.get(&model.id).map_or_else(String::new, ToString::to_string);
                say!("withheld: {reason}");
                ending = Ending::Look;
            }
            None => bail!("there is no answer for `{}`", model.id),
        }
    }
    say!("\nThis is round 1. Iterative models ask for further rounds, with sums of the same form.");
    Ok(ending)
}

/// One line per cell; cells of 0 in long arrays are counted instead of listed.
fn print_array(array: &Array, rules: &str) {
    let axes: Vec<&str> = array.axes().iter().map(|a| a.name.as_str()).collect();
    say!("-- {} [{}] {:?}", array.name(), axes.join(" × "), array.kind());
    let long = array.cells().len() > 40;
    let mut zeros = 0;
    for (i, cell) in array.cells().iter().enumerate() {
        if long && *cell == Some(0.0) {
            zeros += 1;
            continue;
        }
        let mut rest = i;
        let mut labels: Vec<_> = array
            .axes()
            .iter()
            .rev()
            .map(|axis| {
                let label = axis.level(rest % axis.len());
                rest /= axis.len();
                label
            })
            .collect();
        labels.reverse();
        match cell {
            Some(number) => say!("   {:<44} {number}", labels.join(" · ")),
            None => say!("   {:<44} withheld ({rules})", labels.join(" · ")),
        }
    }
    if zeros > 0 {
        say!("   and {zeros} further cells, all 0");
    }
}
