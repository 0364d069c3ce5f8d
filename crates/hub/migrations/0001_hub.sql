-- The hub's store. One text for SQLite and PostgreSQL: columns are text and bigint only. Times are RFC 3339 text; what is
-- compared with a clock is milliseconds since 1970. Only the hub writes here; replicas share one database.

-- Grows with every write. Its one row is taken first by every writing transaction, so there is one writer at a time, and
-- watched by every replica, so that each hears of what the others wrote.
create table pulse (
    id bigint primary key,
    n bigint not null
);
insert into pulse (id, n) values (1, 0);

-- Studies; the newest file and roster count for new runs.
create table study (
    id text primary key,
    title text not null,
    file text not null,
    roster text,
    created_at text not null
);

-- Rosters, never changed. `file` is roster.toml.
create table roster (
    hash text primary key,
    study text not null,
    file text not null,
    created_at text not null
);

-- Analyses; the newest file counts for new runs.
create table analysis (
    id text primary key,
    study text not null,
    title text not null,
    specification text not null,
    file text not null,
    created_by text not null,
    created_at text not null
);

-- Runs. Files, hashes and periods never change; the rest follows from the events and is kept here to be searched.
create table run (
    id text primary key,
    analysis text not null,
    study text not null,
    specification text not null,
    roster text not null,
    study_file text not null,
    analysis_file text not null,
    sites text not null,
    consent_s bigint not null,
    round_s bigint not null,
    created_by text not null,
    created_at text not null,
    state text not null,
    version bigint not null,
    -- 1 while it is the hub's turn
    work bigint not null,
    -- when the open step is closed
    due_at bigint not null,
    lease text,
    lease_until bigint not null
);

-- What happened to runs, append-only. A run's state is these events, folded.
create table event (
    run text not null,
    seq bigint not null,
    at text not null,
    body text not null,
    primary key (run, seq)
);

-- Signed answers of the open round, as they came; taken away once they are pooled.
create table answer (
    run text not null,
    round bigint not null,
    site text not null,
    sha256 text not null,
    body text not null,
    received_at text not null,
    primary key (run, round, site)
);

-- Fingerprints of all answers, kept.
create table receipt (
    run text not null,
    round bigint not null,
    site text not null,
    sha256 text not null,
    received_at text not null,
    primary key (run, round, site)
);

-- results.json of runs that are done.
create table result (
    run text primary key,
    body text not null
);

-- People. `subject` is who they are at the login provider.
create table account (
    name text primary key,
    role text not null,
    subject text unique,
    disabled bigint not null,
    created_at text not null
);

-- Tokens; `hash` is Argon2id.
create table token (
    id text primary key,
    account text not null,
    label text not null,
    hash text not null,
    created_at text not null,
    expires_at bigint not null
);

-- Browser sessions; `id` is the SHA-256 of the cookie.
create table session (
    id text primary key,
    account text not null,
    expires_at bigint not null
);

-- Logins that have been begun at the provider.
create table login (
    state text primary key,
    nonce text not null,
    verifier text not null,
    expires_at bigint not null
);

-- Replies to requests with an idempotency key.
create table idempotency (
    id text primary key,
    request text not null,
    status bigint not null,
    body text not null,
    expires_at bigint not null
);

-- Every action, hash-chained; `body` is one ledger entry.
create table audit (
    seq bigint primary key,
    body text not null
);
