//! Commands. Data to stdout, talk to stderr; exit codes 0 done, 1 answered but look, 2 could not.
#![expect(clippy::print_stderr, reason = "the command line is where printing belongs")]

/// A line on stdout. A reader that has gone away, such as `head`, is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}

#[cfg(feature = "site")]
mod agent;
mod analysis;
mod arguments;
mod audit;
#[cfg(all(feature = "site", feature = "hub"))]
mod demo;
#[cfg(feature = "serving")]
mod exchange;
mod keys;
#[cfg(all(feature = "site", feature = "hub"))]
mod live;
#[cfg(all(feature = "site", feature = "hub"))]
mod local;
#[cfg(feature = "serving")]
mod log;
mod meta;
mod models;
mod output;
mod read;
mod report;
#[cfg(feature = "hub")]
mod results_folder;
#[cfg(all(feature = "site", feature = "hub"))]
mod run;
#[cfg(feature = "hub")]
mod serve;
mod shell;
#[cfg(feature = "site")]
mod site;
#[cfg(feature = "hub")]
mod submit;
#[cfg(feature = "hub")]
mod summary;

#[cfg(feature = "site")]
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

#[cfg(feature = "site")]
use arguments::SiteCommand;
use arguments::{AnalysisCommand, Arguments, AuditCommand, Command, RosterCommand};
#[cfg(feature = "hub")]
use arguments::{HubCommand, KeyholderCommand};

/// How a command ended, if it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Done.
    Done,
    /// Answered, but look: refusals, no convergence, or somebody else's turn.
    Look,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(feature = "serving")]
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("another TLS provider is already installed");
    }
    let ended = match arguments.command {
        #[cfg(all(feature = "site", feature = "hub"))]
        Command::Demo { out, force, study, live, keep, when } => {
            let place =
                if live { demo::Place::Live { keep: keep.as_deref() } } else { demo::Place::Here };
            let to = arguments::Destination { out, force };
            demo::demo(&to, study.as_deref(), when.date, place)
        }
        #[cfg(all(feature = "site", feature = "hub"))]
        Command::Run { spec, site, to, when } => run::run(&spec, &site, &to, when.date),
        Command::Analysis(AnalysisCommand::Check { spec }) => analysis::check(&spec),
        Command::Analysis(AnalysisCommand::Schema { file }) => analysis::schema(file),
        #[cfg(feature = "site")]
        Command::Site(command) => site_command(command),
        #[cfg(feature = "hub")]
        Command::Hub(command) => hub_command(command),
        #[cfg(feature = "hub")]
        Command::Keyholder(command) => match command {
            KeyholderCommand::Keygen { folder } => keys::generate(keys::Party::Keyholder, &folder),
            KeyholderCommand::Serve { config, with_parent } => {
                serve::keyholder(&config, with_parent)
            }
            KeyholderCommand::Open { config, request, out } => {
                exchange::open(&config, &request, &out)
            }
        },
        Command::Roster(RosterCommand::Show { roster }) => keys::show(&roster),
        Command::Audit(AuditCommand::Verify { ledger: Some(path), .. }) => {
            audit::verify_file(&path)
        }
        #[cfg(feature = "hub")]
        Command::Audit(AuditCommand::Verify { database: Some(url), .. }) => {
            audit::verify_database(&url)
        }
        Command::Audit(AuditCommand::Verify { .. }) => {
            Err(anyhow::anyhow!("no ledger file was given"))
        }
        Command::Meta(arguments) => meta::meta(&arguments),
        Command::Completions { shell } => Ok(shell::completions(shell)),
        Command::Manual { folder } => shell::manual(&folder),
        Command::Models { kind } => models::models(kind.as_deref()),
        Command::Report { results, format, out, force } => {
            report::report(&results, &format, out.as_deref(), force)
        }
    };
    match ended {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Look) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{}", message(&error));
            ExitCode::from(2)
        }
    }
}

#[cfg(feature = "site")]
fn site_command(command: SiteCommand) -> anyhow::Result<Ending> {
    match command {
        SiteCommand::Check { folder, study } => site::check(&folder, study.as_deref()),
        SiteCommand::Preview { what, agent: Some(agent), .. } => {
            agent::preview(&agent, &what.display().to_string())
        }
        SiteCommand::Preview { what, site, .. } => {
            site::preview(&what, &site.unwrap_or_else(|| PathBuf::from(".")))
        }
        SiteCommand::Keygen { folder, code } => keys::generate(keys::Party::Site(code), &folder),
        SiteCommand::Agent { folder, with_parent } => agent::agent(&folder, with_parent),
        SiteCommand::Pending { folder } => agent::pending(&folder),
        SiteCommand::Show { folder, run } => agent::show(&folder, &run),
        SiteCommand::Approve { folder, run, by } => {
            agent::decide(&folder, &run, true, by.as_deref())
        }
        SiteCommand::Decline { folder, run, by } => {
            agent::decide(&folder, &run, false, by.as_deref())
        }
        SiteCommand::Answer { spec, site, keys, roster, question, run, out } => {
            let files = exchange::SiteFiles { site: &site, keys: &keys, roster: &roster };
            exchange::answer(&spec, &files, question.as_deref(), &run, &out)
        }
    }
}

#[cfg(feature = "hub")]
fn hub_command(command: HubCommand) -> anyhow::Result<Ending> {
    match command {
        HubCommand::Keygen { folder } => keys::generate(keys::Party::Hub, &folder),
        HubCommand::Serve { config, with_parent } => serve::hub(&config, with_parent),
        HubCommand::Token { config, user, role, days } => serve::token(&config, &user, role, days),
        HubCommand::Submit { spec, url, ca, token_file, roster, to } => {
            use anyhow::Context as _;
            let token = std::fs::read_to_string(&token_file)
                .with_context(|| format!("{} cannot be read", token_file.display()))?;
            let identity = crate::client::Identity::Token(token.trim().to_owned());
            let hub = crate::client::Client::new(&url, ca.as_ref(), identity)?;
            submit::submit(&hub, &spec, roster.as_deref(), &to)
        }
        HubCommand::Pool { spec, answers, keys, roster, opening, to, when } => {
            let files =
                exchange::HubFiles { keys: &keys, roster: &roster, opening: opening.as_deref() };
            exchange::pool(&spec, &answers, &files, &to, when.date)
        }
    }
}

/// Faults of files are shown as they are; other errors get a leading word.
fn message(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    if text.starts_with("error") { text } else { format!("error: {text}") }
}
