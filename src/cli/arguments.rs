//! What can be typed: commands and their arguments, with the help texts.
#![allow(rustdoc::bare_urls, reason = "examples are commands as they are typed")]

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[cfg(feature = "site")]
use super::exchange;
use super::{analysis, meta, report};
#[cfg(feature = "site")]
use crate::summary::SiteId;

/// Pooled analysis of rare-cancer studies: records stay in their country, only sums leave it
#[derive(Debug, Parser)]
#[command(name = "tributary", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[cfg(all(feature = "site", feature = "hub"))]
    /// Run the example study of Wilms tumour: five countries, one report, nothing to set up
    ///
    /// With --live, a hub, a keyholder and five agents run as separate processes on this machine, with new keys, and
    /// communicate over HTTP; the numbers are the same.
    ///
    /// Example: tributary demo --live --out results/wilms
    Demo {
        /// Folder for the results
        #[arg(long, default_value = "results/wilms")]
        out: PathBuf,
        #[command(flatten)]
        force: Force,
        /// Folder of the example study, if it cannot be found from the current folder
        #[arg(long)]
        study: Option<PathBuf>,
        /// Run hub, keyholder and agents as separate processes
        #[arg(long)]
        live: bool,
        /// Folder in which to keep the files of these processes: keys, ledgers, logs, database
        #[arg(long, requires = "live")]
        keep: Option<PathBuf>,
        #[command(flatten)]
        when: When,
    },
    #[cfg(all(feature = "site", feature = "hub"))]
    /// Run an analysis on site folders in one process, through the same steps as in a live study
    ///
    /// Example: tributary run analyses/wilms/wilms.toml --site analyses/wilms/sites/* --out results
    Run {
        /// Analysis file, with study.toml in the same folder
        spec: PathBuf,
        /// Site folders
        #[arg(long, num_args = 1.., required = true)]
        site: Vec<PathBuf>,
        #[command(flatten)]
        to: Destination,
        #[command(flatten)]
        when: When,
    },
    /// Check an analysis file, or print JSON schemas for editors
    #[command(subcommand)]
    Analysis(AnalysisCommand),
    #[cfg(feature = "site")]
    /// Commands for a site: check its folder, run its agent, answer by file
    #[command(subcommand)]
    Site(SiteCommand),
    #[cfg(feature = "hub")]
    /// Commands for the hub: serve, submit an analysis, pool answers by file
    #[command(subcommand)]
    Hub(HubCommand),
    #[cfg(feature = "hub")]
    /// Commands for the keyholder, the second institution, which holds the masks
    #[command(subcommand)]
    Keyholder(KeyholderCommand),
    /// The roster: who takes part, and their public keys
    #[command(subcommand)]
    Roster(RosterCommand),
    /// Verify ledgers and audit logs
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Meta-analysis of published study results
    ///
    /// Example: tributary meta trials.csv --measure RR --method REML,DL --moderators year --out results/trials
    Meta(Box<meta::MetaArguments>),
    /// List all models, or print the card of one
    ///
    /// Example: tributary models cox
    Models {
        /// Kind of model
        kind: Option<String>,
    },
    /// Render a report again from results.json, byte for byte
    ///
    /// Example: tributary report results/wilms/results.json --format html --out again
    Report {
        /// The file results.json of a run
        results: PathBuf,
        /// Formats to render
        #[arg(long, value_delimiter = ',', default_value = "html,pdf")]
        format: Vec<report::Format>,
        /// Folder for the files [default: the folder of results.json]
        #[arg(long)]
        out: Option<PathBuf>,
        /// Replace a report that has been changed since it was written
        #[arg(long)]
        force: bool,
    },
    /// Print the completions of a shell
    ///
    /// Example: tributary completions bash > /etc/bash_completion.d/tributary
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command
    ///
    /// Example: tributary manual /usr/local/share/man/man1
    Manual {
        /// Folder for the pages
        folder: PathBuf,
    },
}

#[cfg(feature = "hub")]
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Force {
    /// Write into a folder that contains other files; these are kept
    #[arg(long)]
    pub(super) force: bool,
}

/// Where the results go.
#[cfg(feature = "hub")]
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Destination {
    /// Folder for the results; results of an earlier run are replaced
    #[arg(long)]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) force: Force,
}

#[cfg(feature = "hub")]
#[derive(Debug, clap::Args)]
pub(super) struct When {
    /// Date to print on the report [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(super) date: Option<jiff::civil::Date>,
}

#[derive(Debug, Subcommand)]
pub(super) enum AnalysisCommand {
    /// Check an analysis file; errors name the line
    ///
    /// Example: tributary analysis check analyses/wilms/wilms.toml
    Check {
        /// Analysis file
        spec: PathBuf,
    },
    /// Print the JSON schema of a file, for editors
    ///
    /// Example: tributary analysis schema study > study.schema.json
    Schema {
        /// File whose schema to print
        #[arg(default_value = "analysis")]
        file: analysis::SchemaFile,
    },
}

#[cfg(feature = "site")]
#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Read, map and check a site's files, and print a quality report
    ///
    /// Example: tributary site check analyses/wilms/sites/XD
    Check {
        /// Site folder
        folder: PathBuf,
        /// Study file [default: study.toml in one of the parent folders]
        #[arg(long)]
        study: Option<PathBuf>,
    },
    /// Show every number that the first round would send, and the rule behind each one that is withheld
    ///
    /// Example: tributary site preview analyses/wilms/wilms.toml --site analyses/wilms/sites/XE
    Preview {
        /// Analysis file or, with --agent, the identifier of a pending run
        what: PathBuf,
        /// Site folder, with an analysis file
        #[arg(long, required_unless_present = "agent")]
        site: Option<PathBuf>,
        /// Agent folder, with a run
        #[arg(long, conflicts_with = "site")]
        agent: Option<PathBuf>,
    },
    /// Generate the signing key of a site
    ///
    /// Example: tributary site keygen keys --code XA
    Keygen {
        /// Folder for the key file
        folder: PathBuf,
        /// Code of the site in the study, as the secretariat gave it
        #[arg(long, value_parser = SiteId::new)]
        code: SiteId,
    },
    /// Run the agent of a site: fetch questions from the hub and answer those that are approved
    ///
    /// Runs until it is stopped. The folder contains agent.toml. Connections are outbound only.
    ///
    /// Example: tributary site agent agent
    Agent {
        /// Agent folder
        folder: PathBuf,
        /// Stop when standard input ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// List the questions received, and the decision on each
    ///
    /// Example: tributary site pending agent
    Pending {
        /// Agent folder
        folder: PathBuf,
    },
    /// Show a question in full
    ///
    /// Example: tributary site show agent 01997c2e-…
    Show {
        /// Agent folder
        folder: PathBuf,
        /// Identifier of the run
        run: String,
    },
    /// Approve a run; the approval covers exactly the specification that was shown
    ///
    /// Example: tributary site approve agent 01997c2e-… --by "Dr Martin"
    Approve {
        /// Agent folder
        folder: PathBuf,
        /// Identifier of the run
        run: String,
        /// Name of the person deciding [default: the login name]
        #[arg(long)]
        by: Option<String>,
    },
    /// Decline a run
    ///
    /// Example: tributary site decline agent 01997c2e-… --by "Dr Martin"
    Decline {
        /// Agent folder
        folder: PathBuf,
        /// Identifier of the run
        run: String,
        /// Name of the person deciding [default: the login name]
        #[arg(long)]
        by: Option<String>,
    },
    /// Answer one round by file; the answer is a signed text file
    ///
    /// Example: tributary site answer wilms.toml --site sites/XE --keys keys --roster roster.toml -o XE-1.txt
    Answer {
        /// Analysis file, with study.toml in the same folder
        spec: PathBuf,
        /// Site folder
        #[arg(long)]
        site: PathBuf,
        /// Folder with signing.key, where the ledger and the answers are kept
        #[arg(long)]
        keys: PathBuf,
        /// Roster of the study
        #[arg(long)]
        roster: PathBuf,
        /// Question file from the hub, for rounds after the first
        #[arg(long)]
        question: Option<PathBuf>,
        /// Name of the run
        #[arg(long, default_value = exchange::RUN)]
        run: String,
        /// File for the answer
        #[arg(short, long)]
        out: PathBuf,
    },
}

#[cfg(feature = "hub")]
#[derive(Debug, Subcommand)]
pub(super) enum HubCommand {
    /// Generate the signing key of a hub
    ///
    /// Example: tributary hub keygen keys
    Keygen {
        /// Folder for the key file
        folder: PathBuf,
    },
    /// Run the hub until it is stopped
    ///
    /// Example: tributary hub serve hub.toml
    Serve {
        /// The file hub.toml
        config: PathBuf,
        /// Stop when standard input ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// Give a user a role and a token, directly in the database
    ///
    /// Example: tributary hub token hub.toml --user anna --role administrator
    Token {
        /// The file hub.toml
        config: PathBuf,
        /// Name of the user
        #[arg(long)]
        user: String,
        /// Role of the user
        #[arg(long)]
        role: crate::hub::store::Role,
        /// Number of days for which the token is valid
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// Submit an analysis to a hub, follow the run and fetch the results
    ///
    /// Example: tributary hub submit wilms.toml --url https://hub.example --token-file token --out results/wilms
    Submit {
        /// Analysis file, with study.toml in the same folder
        spec: PathBuf,
        /// Address of the hub
        #[arg(long)]
        url: String,
        /// PEM file of a certificate authority to trust instead of the public ones
        #[arg(long)]
        ca: Option<PathBuf>,
        /// File with the token
        #[arg(long)]
        token_file: PathBuf,
        /// Roster to install
        #[arg(long)]
        roster: Option<PathBuf>,
        #[command(flatten)]
        to: Destination,
    },
    /// Pool answers received as files
    ///
    /// Example: tributary hub pool wilms.toml X?-1.txt --keys keys --roster roster.toml --out results/wilms
    Pool {
        /// Analysis file, with study.toml in the same folder
        spec: PathBuf,
        /// Answer files of the open round
        #[arg(required = true)]
        answers: Vec<PathBuf>,
        /// Folder with signing.key
        #[arg(long)]
        keys: PathBuf,
        /// Roster of the study
        #[arg(long)]
        roster: PathBuf,
        /// Opening file from the keyholder
        #[arg(long)]
        opening: Option<PathBuf>,
        #[command(flatten)]
        to: Destination,
        #[command(flatten)]
        when: When,
    },
}

#[cfg(feature = "hub")]
#[derive(Debug, Subcommand)]
pub(super) enum KeyholderCommand {
    /// Generate the two keys of a keyholder
    ///
    /// Example: tributary keyholder keygen keys
    Keygen {
        /// Folder for the key files
        folder: PathBuf,
    },
    /// Run the keyholder until it is stopped
    ///
    /// Example: tributary keyholder serve keyholder.toml
    Serve {
        /// The file keyholder.toml
        config: PathBuf,
        /// Stop when standard input ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// Answer an opening request by file: the sum of the masks of the sites listed in it
    ///
    /// Example: tributary keyholder open keyholder.toml opening-request-1.txt -o opening-1.txt
    Open {
        /// The file keyholder.toml
        config: PathBuf,
        /// Opening request from the hub
        request: PathBuf,
        /// File for the sums of masks
        #[arg(short, long)]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RosterCommand {
    /// Show a roster and its fingerprint, to be compared over a second channel
    ///
    /// Example: tributary roster show roster.toml
    Show {
        /// The file roster.toml
        roster: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Verify that a ledger or audit log has not been altered
    ///
    /// Example: tributary audit verify agent/ledger.jsonl
    Verify {
        /// Ledger of a site or keyholder
        #[cfg_attr(feature = "hub", arg(required_unless_present = "database"))]
        ledger: Option<PathBuf>,
        /// Database of a hub, such as sqlite:hub.db
        #[cfg(feature = "hub")]
        #[arg(long, conflicts_with = "ledger")]
        database: Option<String>,
    },
}
