//! Commands. Data to stdout, talk to stderr; exit codes 0 done, 1 answered but look, 2 could not.
#![expect(clippy::print_stderr, reason = "the command line is where printing belongs")]

/// A line on stdout. A reader that has gone away, such as `head`, is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}

mod analysis;
#[cfg(all(feature = "site", feature = "hub"))]
mod demo;
#[cfg(all(feature = "site", feature = "hub"))]
mod local;

mod models;
#[cfg(all(feature = "site", feature = "hub"))]
mod output;
mod read;
mod report;
#[cfg(all(feature = "site", feature = "hub"))]
mod run;
#[cfg(feature = "site")]
mod site;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// How a command ended, if it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Done.
    Done,
    /// Answered, but look: refusals, no convergence.
    #[cfg(feature = "site")]
    Look,
}

/// Pools rare-cancer studies across countries; only sums leave a country
#[derive(Debug, Parser)]
#[command(name = "tributary", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(all(feature = "site", feature = "hub"))]
    /// Run the Wilms study: five countries, one report, no set-up
    ///
    /// Example: tributary demo --out results/wilms
    Demo {
        /// Folder for the results
        #[arg(long, default_value = "results/wilms")]
        out: PathBuf,
        /// Study folder, if it is not found from here
        #[arg(long)]
        study: Option<PathBuf>,
        #[command(flatten)]
        when: When,
    },
    #[cfg(all(feature = "site", feature = "hub"))]
    /// Run an analysis over site folders in one process, through the same path as a live study
    ///
    /// Example: tributary run analyses/wilms/wilms.toml --site analyses/wilms/sites/* --out results
    Run {
        /// Analysis file; study.toml stands beside it
        spec: PathBuf,
        /// Site folders
        #[arg(long, num_args = 1.., required = true)]
        site: Vec<PathBuf>,
        /// Folder for the results
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        when: When,
    },
    /// Check an analysis file, or print the schemas that editors complete from
    #[command(subcommand)]
    Analysis(AnalysisCommand),
    #[cfg(feature = "site")]
    /// What a site does with its own folder
    #[command(subcommand)]
    Site(SiteCommand),
    /// Print the cards of all models, or of one
    ///
    /// Example: tributary models cox
    Models {
        /// Kind of model
        kind: Option<String>,
    },
    /// Render a report again from results.json, to the same bytes
    ///
    /// Example: tributary report results/wilms/results.json --format html --out again
    Report {
        /// File results.json of a run
        results: PathBuf,
        /// Formats
        #[arg(long, value_delimiter = ',', default_value = "html,pdf")]
        format: Vec<report::Format>,
        /// Folder for the files; beside results.json if absent
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[cfg(all(feature = "site", feature = "hub"))]
#[derive(Debug, clap::Args)]
struct When {
    /// Day to write on the report; today if absent
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<jiff::civil::Date>,
}

#[derive(Debug, Subcommand)]
enum AnalysisCommand {
    /// Check an analysis; faults point at the line
    ///
    /// Example: tributary analysis check analyses/wilms/wilms.toml
    Check {
        /// Analysis file
        spec: PathBuf,
    },
    /// Print a JSON schema, for editors
    ///
    /// Example: tributary analysis schema study > study.schema.json
    Schema {
        /// Which file
        #[arg(default_value = "analysis")]
        file: analysis::SchemaFile,
    },
}

#[cfg(feature = "site")]
#[derive(Debug, Subcommand)]
enum SiteCommand {
    /// Read, map and check a site's file: quality report
    ///
    /// Example: tributary site check analyses/wilms/sites/XD
    Check {
        /// Site folder
        folder: PathBuf,
        /// Study file; found in the folders above if absent
        #[arg(long)]
        study: Option<PathBuf>,
    },
    /// Show every number that the first round would send, with the rule beside each hidden one
    ///
    /// Example: tributary site preview analyses/wilms/wilms.toml --site analyses/wilms/sites/XE
    Preview {
        /// Analysis file
        spec: PathBuf,
        /// Site folder
        #[arg(long)]
        site: PathBuf,
    },
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        #[cfg(all(feature = "site", feature = "hub"))]
        Command::Demo { out, study, when } => demo::demo(&out, study.as_deref(), when.date),
        #[cfg(all(feature = "site", feature = "hub"))]
        Command::Run { spec, site, out, when } => run::run(&spec, &site, &out, when.date),
        Command::Analysis(AnalysisCommand::Check { spec }) => analysis::check(&spec),
        Command::Analysis(AnalysisCommand::Schema { file }) => analysis::schema(file),
        #[cfg(feature = "site")]
        Command::Site(SiteCommand::Check { folder, study }) => {
            site::check(&folder, study.as_deref())
        }
        #[cfg(feature = "site")]
        Command::Site(SiteCommand::Preview { spec, site }) => site::preview(&spec, &site),
        Command::Models { kind } => models::models(kind.as_deref()),
        Command::Report { results, format, out } => {
            report::report(&results, &format, out.as_deref())
        }
    };
    match ended {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        #[cfg(feature = "site")]
        Ok(Ending::Look) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{}", message(&error));
            ExitCode::from(2)
        }
    }
}

/// Faults of files are shown as they are; other errors get a leading word.
fn message(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    if text.starts_with("error") { text } else { format!("error: {text}") }
}
