//! What can be typed: commands and their arguments, with the help texts.
#![allow(rustdoc::bare_urls, reason = "examples are commands as they are typed")]

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[cfg(feature = "site")]
use super::exchange;
use super::{analysis, meta, report};

/// Pools rare-cancer studies across countries; only sums leave a country
#[derive(Debug, Parser)]
#[command(name = "tributary", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[cfg(all(feature = "site", feature = "hub"))]
    /// Run the Wilms study: five countries, one report, no set-up
    ///
    /// With --live, hub, keyholder and five agents run as processes of their own on this machine, with fresh keys, and talk
    /// over HTTP; the numbers are the same.
    ///
    /// Example: tributary demo --live --out results/wilms
    Demo {
        /// Folder for the results
        #[arg(long, default_value = "results/wilms")]
        out: PathBuf,
        #[command(flatten)]
        force: Force,
        /// Study folder, if it is not found from here
        #[arg(long)]
        study: Option<PathBuf>,
        /// As live services on this machine
        #[arg(long)]
        live: bool,
        /// Keep the files of the live services here: keys, ledgers, logs, database
        #[arg(long, requires = "live")]
        keep: Option<PathBuf>,
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
        #[command(flatten)]
        to: Destination,
        #[command(flatten)]
        when: When,
    },
    /// Check an analysis file, or print the schemas that editors complete from
    #[command(subcommand)]
    Analysis(AnalysisCommand),
    #[cfg(feature = "site")]
    /// What a site does: its own folder, its agent, its answers by file
    #[command(subcommand)]
    Site(SiteCommand),
    #[cfg(feature = "hub")]
    /// The coordinating server, and its work by file
    #[command(subcommand)]
    Hub(HubCommand),
    #[cfg(feature = "hub")]
    /// The second institution, which holds the masks
    #[command(subcommand)]
    Keyholder(KeyholderCommand),
    /// Who takes part, by which keys
    #[command(subcommand)]
    Roster(RosterCommand),
    /// Ledgers and audit logs
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Meta-analysis of study results that are already public
    ///
    /// Example: tributary meta trials.csv --measure RR --method REML,DL --moderators year --out results/trials
    Meta(Box<meta::MetaArguments>),
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
        /// Replace a report that somebody has changed
        #[arg(long)]
        force: bool,
    },
}

#[cfg(feature = "hub")]
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Force {
    /// Write into a folder that holds other files; they are kept
    #[arg(long)]
    pub(super) force: bool,
}

/// Where the results go.
#[cfg(feature = "hub")]
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Destination {
    /// Folder for the results; those of an earlier run are replaced
    #[arg(long)]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) force: Force,
}

#[cfg(feature = "hub")]
#[derive(Debug, clap::Args)]
pub(super) struct When {
    /// Day to write on the report; today if absent
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(super) date: Option<jiff::civil::Date>,
}

#[derive(Debug, Subcommand)]
pub(super) enum AnalysisCommand {
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
pub(super) enum SiteCommand {
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
        /// Analysis file; with --agent, a run that has come
        what: PathBuf,
        /// Site folder
        #[arg(long, required_unless_present = "agent")]
        site: Option<PathBuf>,
        /// Folder of the agent
        #[arg(long, conflicts_with = "site")]
        agent: Option<PathBuf>,
    },
    /// Make the signing key of a site
    ///
    /// Example: tributary site keygen keys
    Keygen {
        /// Folder for the key file
        folder: PathBuf,
    },
    /// Ask the hub for questions and answer those that are approved, until stopped
    ///
    /// The folder holds agent.toml; connections go outwards only.
    ///
    /// Example: tributary site agent agent
    Agent {
        /// Folder of the agent
        folder: PathBuf,
        /// Stop when standard input ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// List the questions that have come
    ///
    /// Example: tributary site pending agent
    Pending {
        /// Folder of the agent
        folder: PathBuf,
    },
    /// Show one question in full
    ///
    /// Example: tributary site show agent 01997c2e-…
    Show {
        /// Folder of the agent
        folder: PathBuf,
        /// Run
        run: String,
    },
    /// Take part in a run; covers exactly the specification that was shown
    ///
    /// Example: tributary site approve agent 01997c2e-… --by "Dr Martin"
    Approve {
        /// Folder of the agent
        folder: PathBuf,
        /// Run
        run: String,
        /// Who decides; the name of the login if absent
        #[arg(long)]
        by: Option<String>,
    },
    /// Do not take part in a run
    ///
    /// Example: tributary site decline agent 01997c2e-… --by "Dr Martin"
    Decline {
        /// Folder of the agent
        folder: PathBuf,
        /// Run
        run: String,
        /// Who decides; the name of the login if absent
        #[arg(long)]
        by: Option<String>,
    },
    /// Answer one round by file: a signed file that a text editor shows
    ///
    /// Example: tributary site answer wilms.toml --site sites/XE --keys keys --roster roster.toml -o XE-1.txt
    Answer {
        /// Analysis file; study.toml stands beside it
        spec: PathBuf,
        /// Site folder
        #[arg(long)]
        site: PathBuf,
        /// Folder with signing.key; ledger and answers are kept here
        #[arg(long)]
        keys: PathBuf,
        /// Roster of the study
        #[arg(long)]
        roster: PathBuf,
        /// Question file of the hub, for rounds after the first
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
    /// Make the signing key of a hub
    ///
    /// Example: tributary hub keygen keys
    Keygen {
        /// Folder for the key file
        folder: PathBuf,
    },
    /// Serve, until stopped
    ///
    /// Example: tributary hub serve hub.toml
    Serve {
        /// File hub.toml
        config: PathBuf,
        /// Stop when standard input ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// Give somebody a role and a token, straight in the database
    ///
    /// Example: tributary hub token hub.toml --user anna --role administrator
    Token {
        /// File hub.toml
        config: PathBuf,
        /// Name
        #[arg(long)]
        user: String,
        /// Role
        #[arg(long)]
        role: crate::hub::store::Role,
        /// How many days it counts
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// Submit an analysis to a hub, follow the run, fetch the results
    ///
    /// Example: tributary hub submit wilms.toml --url https://hub.example --token-file token --out results/wilms
    Submit {
        /// Analysis file; study.toml stands beside it
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
        /// Roster to put in place
        #[arg(long)]
        roster: Option<PathBuf>,
        #[command(flatten)]
        to: Destination,
    },
    /// Pool answers that came as files
    ///
    /// Example: tributary hub pool wilms.toml X?-1.txt --keys keys --roster roster.toml --out results/wilms
    Pool {
        /// Analysis file; study.toml stands beside it
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
        /// What the keyholder sent back
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
    /// Make the two keys of a keyholder
    ///
    /// Example: tributary keyholder keygen keys
    Keygen {
        /// Folder for the key files
        folder: PathBuf,
    },
    /// Serve, until stopped
    ///
    /// Example: tributary keyholder serve keyholder.toml
    Serve {
        /// File keyholder.toml
        config: PathBuf,
        /// Stop when standard input ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// Open sums by file: the masks of the sites that the hub lists, summed
    ///
    /// Example: tributary keyholder open keyholder.toml opening-request-1.txt -o opening-1.txt
    Open {
        /// File keyholder.toml
        config: PathBuf,
        /// Request of the hub
        request: PathBuf,
        /// File for the sums of masks
        #[arg(short, long)]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RosterCommand {
    /// Show a roster and its fingerprint, to be compared over another channel
    ///
    /// Example: tributary roster show roster.toml
    Show {
        /// File roster.toml
        roster: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Verify that a ledger or audit log is as it was written
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
