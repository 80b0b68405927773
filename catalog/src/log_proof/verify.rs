//! Looks the logs of a catalog, or of a copy of it, over with nothing but the public key.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::chain::{self, Tip};
use super::head::{HEAD, Head, is_signed};
use super::merkle::{Frontier, Hash};
use super::record::{self, RecordKind};
use crate::error::CatalogError;
use crate::flushed::{Log, visible};
use crate::statement_log::Value;
use crate::store::{Store, number};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub fault: Fault,
    pub chain: String,
    /// Number in the chain; 0 where it is about the chain as a whole.
    pub seq: u64,
    /// Kind and name of the record, where it is there.
    pub record: Option<(RecordKind, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its bytes are others than those that were chained.
    Altered,
    /// A record of this number was written and is gone.
    Missing,
    /// It stands under a number that it did not get.
    Reordered,
    /// This record, and those after it, were written and are gone.
    Truncated,
    /// Two records have the number.
    Twice,
    /// It was not written by the log: it has no place in a chain, or in one that there is none of.
    Foreign,
    /// The records up to this one do not have the root that was signed, although they fit each other.
    Rewritten,
    /// The signature of a head does not fit its text, or the text is none.
    Signature,
    /// The chain did not begin so.
    Genesis,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.fault {
            Fault::Altered => "was altered",
            Fault::Missing => "is missing",
            Fault::Reordered => "was moved",
            Fault::Truncated => "and all after it were cut off",
            Fault::Twice => "is there twice",
            Fault::Foreign => "was put in from outside",
            Fault::Rewritten => "or one before it, after the last head that fits, was rewritten",
            Fault::Signature => "has a head whose signature does not fit",
            Fault::Genesis => "stands in a chain whose beginning was altered",
        };
        write!(f, "record {} of chain {} ", self.seq, self.chain)?;
        if let Some((kind, name)) = &self.record {
            write!(f, "({} {name}) ", kind.word())?;
        }
        f.write_str(what)
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub chains: u64,
    pub records: u64,
    pub heads: u64,
    /// Under no signature yet: held by their links alone.
    pub unsigned: u64,
    /// Whose sealed text was erased, by an event that is in the log.
    pub erased: u64,
    /// Whose facets are in the data plane, and how many of these were held against what proves them.
    pub flushed: u64,
    pub flushed_checked: u64,
    /// Whose time has passed, by an event that is in the log: what they said is gone.
    pub expired: u64,
    /// Written before records were chained.
    pub before_chains: u64,
    /// The newest head, to be kept elsewhere: a later check can be held against it.
    pub newest_head: Option<String>,
    /// In the order of the chains and their records; empty: all is as it was written.
    pub findings: Vec<Finding>,
}

/// Most findings that are named.
const FINDINGS_MAX: usize = 1_000;

/// Where the rows of the data plane come from: those of a log at a version.
pub trait FlushedRows: Send + Sync {
    /// The values of each row, in the order of [`Log::columns`].
    ///
    /// # Errors
    /// They cannot be read.
    fn rows(&self, log: Log, version: u64) -> BoxFuture<'_, Result<RowsOfLog, CatalogError>>;
}

/// Values, row by row.
pub type RowsOfLog = BoxStream<'static, Result<Vec<Value>, CatalogError>>;

/// Looks over the catalog at a URL. `anchor`: the text of a head that was kept elsewhere. `flushed`: the data plane, to hold its rows against
/// what proves them; without it the chains alone are looked at, which have a place for each.
///
/// # Errors
/// [`CatalogError::Unavailable`], [`CatalogError::Configuration`]; what is wrong with the log stands in the report.
pub async fn verify(url: &str, public_key: &[u8], anchor: Option<&str>, flushed: Option<&dyn FlushedRows>) -> Result<Report, CatalogError> {
    let store = Store::open(url).await?;
    let report = verify_store(&store, public_key, anchor, flushed).await;
    store.close().await;
    report
}

pub(crate) async fn verify_store(
    store: &Store,
    public_key: &[u8],
    anchor: Option<&str>,
    flushed: Option<&dyn FlushedRows>,
) -> Result<Report, CatalogError> {
    let mut read = store.begin_read().await?;
    let mut chains = chains(&mut read).await?;
    let mut report = Report { chains: chains.len() as u64, ..Report::default() };
    let first_chain = chains.values().map(|chain| chain.started_us).min().unwrap_or(i64::MAX);
    // What erased a text is itself chained: without its event the erasure is an alteration.
    let erasures = events(&mut read, "erase%").await?;
    for kind in RecordKind::ALL {
        records(&mut read, kind, first_chain, &erasures, &mut chains, &mut report).await?;
    }
    let expiries = events(&mut read, "expire%").await?;
    for log in Log::ALL {
        let held = proven(&mut read, log, &erasures, &expiries, &mut chains, &mut report).await?;
        let version = visible(&mut read, log).await?;
        if let (Some(flushed), Some(version)) = (flushed, version) {
            compare(flushed.rows(log, version).await?, log, held, &mut report).await?;
        }
    }
    let heads = heads(&mut read, public_key, &mut report).await?;
    drop(read);
    let mut said: HashMap<String, Vec<Tip>> = HashMap::new();
    let mut claim = |tip: &Tip| said.entry(tip.chain.clone()).or_default().push(tip.clone());
    heads.iter().flat_map(|head| head.others.iter()).for_each(&mut claim);
    chains.values().flat_map(|chain| chain.follows.iter()).for_each(&mut claim);
    let signed = signed(&chains, &heads);
    for chain in chains.values() {
        claim(&chain.tip);
    }
    let mut by_chain: HashMap<String, Vec<Head>> = HashMap::new();
    report.newest_head = heads.iter().max_by_key(|head| head.time).map(Head::text);
    if let Some(head) = anchor.map(|text| Head::parse(text).ok_or_else(bad_anchor)).transpose()? {
        by_chain.entry(head.chain.clone()).or_default().push(head);
    }
    for head in heads {
        by_chain.entry(head.chain.clone()).or_default().push(head);
    }
    let named = said.iter().filter(|(_, tips)| tips.iter().any(|tip| tip.size > 0)).map(|(name, _)| name);
    let gone: BTreeSet<&String> = named.chain(by_chain.keys()).filter(|name| !chains.contains_key(*name)).collect();
    gone.into_iter().for_each(|name| report.find(Fault::Truncated, name, 1, None));
    for (name, chain) in chains {
        let tips = said.get(&name).map(Vec::as_slice).unwrap_or_default();
        let mut heads = by_chain.remove(&name).unwrap_or_default();
        heads.sort_by_key(|head| head.size);
        chain.check(&name, &heads, tips, &mut report);
        let last = chain.records.keys().next_back().copied().unwrap_or(0);
        report.unsigned += last.saturating_sub(signed.get(&name).copied().unwrap_or(0));
    }
    report.findings.sort_by(|one, other| (&one.chain, one.seq).cmp(&(&other.chain, other.seq)));
    Ok(report)
}

/// Up to where each chain is under a signature: of its own heads, or of heads of others, which name its tip or stand in a chain that began
/// with it.
fn signed(chains: &BTreeMap<String, Stored>, heads: &[Head]) -> HashMap<String, u64> {
    let mut signed: HashMap<String, u64> = HashMap::new();
    let mut up_to = |chain: &str, size: u64| {
        let known = signed.entry(chain.to_owned()).or_default();
        *known = size.max(*known);
    };
    for head in heads {
        up_to(&head.chain, head.size);
        let began_with = chains.get(&head.chain).map(|chain| chain.follows.as_slice()).unwrap_or_default();
        head.others.iter().chain(began_with).for_each(|tip| up_to(&tip.chain, tip.size));
    }
    signed
}

fn bad_anchor() -> CatalogError {
    CatalogError::Configuration { message: "the head to hold the log against is none".to_owned() }
}

impl Report {
    fn find(&mut self, fault: Fault, chain: &str, seq: u64, record: Option<(RecordKind, String)>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { fault, chain: chain.to_owned(), seq, record });
        }
    }

    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A chain as it is stored.
struct Stored {
    process: String,
    started_us: i64,
    follows_text: String,
    follows: Vec<Tip>,
    tip: Tip,
    /// By number.
    records: BTreeMap<u64, StoredRecord>,
}

struct StoredRecord {
    kind: RecordKind,
    name: String,
    leaf: Hash,
    link: Hash,
}

impl StoredRecord {
    fn named(&self) -> Option<(RecordKind, String)> {
        Some((self.kind, self.name.clone()))
    }
}

async fn chains(connection: &mut AnyConnection) -> Result<BTreeMap<String, Stored>, CatalogError> {
    let sql = "SELECT chain, process, started_us, follows, size, link FROM log_chains";
    let mut found = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(connection).await? {
        let (name, follows_text): (String, String) = (row.try_get(0)?, row.try_get(3)?);
        let link: Vec<u8> = row.try_get(5)?;
        let chain = Stored {
            process: row.try_get(1)?,
            started_us: row.try_get(2)?,
            // What is no list any more does not give the first link either.
            follows: serde_json::from_str(&follows_text).unwrap_or_default(),
            follows_text,
            tip: Tip { chain: name.clone(), size: number(row.try_get(4)?).unwrap_or(0), link: STANDARD.encode(link) },
            records: BTreeMap::new(),
        };
        found.insert(name, chain);
    }
    Ok(found)
}

/// Reads the records of a kind into their chains.
async fn records(
    connection: &mut AnyConnection,
    kind: RecordKind,
    first_chain_us: i64,
    erasures: &HashSet<String>,
    chains: &mut BTreeMap<String, Stored>,
    report: &mut Report,
) -> Result<(), CatalogError> {
    let (table, place) = kind.place();
    let columns = kind.columns();
    // An end that was not written yet is none.
    let there =
        if kind == RecordKind::End { "WHERE execution_status <> 'RUNNING' OR end_chain IS NOT NULL OR end_time IS NOT NULL" } else { "" };
    let sql = format!("SELECT {}, {}, {}, erased_by FROM {table} {there}", columns.join(", "), place.join(", "), kind.sealed());
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let values = values(&row, kind)?;
        let name = match values.first() {
            Some(Value::Text(Some(name))) => name.clone(),
            _ => String::new(),
        };
        let at = columns.len();
        let (chain, seq): (Option<String>, Option<i64>) = (row.try_get(at)?, row.try_get(at + 1)?);
        let link: Option<Vec<u8>> = row.try_get(at + 2)?;
        let link = link.and_then(|link| Hash::try_from(link).ok());
        let (Some(chain), Some(seq), Some(link)) = (chain, seq.and_then(|seq| u64::try_from(seq).ok()), link) else {
            match time_of(kind, &values).is_some_and(|time| time < first_chain_us) {
                true => report.before_chains += 1,
                false => report.find(Fault::Foreign, "", 0, Some((kind, name))),
            }
            continue;
        };
        report.records += 1;
        let Some(stored) = chains.get_mut(&chain) else {
            report.find(Fault::Foreign, &chain, seq, Some((kind, name)));
            continue;
        };
        let sealed: Option<Vec<u8>> = row.try_get(at + 3)?;
        let is_kept = values.last() == Some(&Value::Bytes(sealed.map(|sealed| record::digest(&sealed).to_vec())));
        if !is_kept {
            match row.try_get::<Option<String>, _>(at + 4)?.filter(|event| erasures.contains(event)) {
                Some(_) => report.erased += 1,
                None => report.find(Fault::Altered, &chain, seq, Some((kind, name.clone()))),
            }
        }
        let leaf = record::leaf(kind, &values);
        if let Some(before) = stored.records.insert(seq, StoredRecord { kind, name, leaf, link }) {
            report.find(Fault::Twice, &chain, seq, before.named());
        }
    }
    Ok(())
}

/// Chained events whose action's name is like that.
async fn events(connection: &mut AnyConnection, action: &str) -> Result<HashSet<String>, CatalogError> {
    let sql = "SELECT event_id FROM audit_events WHERE action_name LIKE $1 AND chain IS NOT NULL \
               UNION ALL SELECT event_id FROM flushed_events WHERE action_name LIKE $1 AND chain IS NOT NULL";
    Ok(sqlx::query_scalar(sql).bind(action.to_owned()).fetch_all(connection).await?.into_iter().collect())
}

/// What proves a row of the data plane: of each of its records the chain, the number and the leaf; `None` where it was never chained.
type Proof = Vec<Option<(String, u64, Hash)>>;

/// Reads what stayed of flushed records into their chains. Gives what proves the rows of the data plane, by name.
async fn proven(
    connection: &mut AnyConnection,
    log: Log,
    erasures: &HashSet<String>,
    expiries: &HashSet<String>,
    chains: &mut BTreeMap<String, Stored>,
    report: &mut Report,
) -> Result<HashMap<String, Proof>, CatalogError> {
    let parts: Vec<String> = log
        .kinds()
        .iter()
        .map(|kind| {
            let leaf = kind.place().1[2].replace("link", "leaf");
            format!("{}, {leaf}, {}, {}", kind.place().1.join(", "), kind.sealed(), kind.columns().last().copied().unwrap_or_default())
        })
        .collect();
    let sql = format!("SELECT {}, erased_by, expired_by, {} FROM {}", log.id(), parts.join(", "), log.flushed_table());
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    let mut held = HashMap::new();
    while let Some(row) = rows.try_next().await? {
        let name: String = row.try_get(0)?;
        let erased = row.try_get::<Option<String>, _>(1)?.is_some_and(|event| erasures.contains(&event));
        let expired_by: Option<String> = row.try_get(2)?;
        let expired = expired_by.as_ref().is_some_and(|event| expiries.contains(event));
        let mut proof: Proof = Vec::new();
        for (at, kind) in (0..).map(|n| 3 + n * 6).zip(log.kinds()) {
            let (chain, seq): (Option<String>, Option<i64>) = (row.try_get(at)?, row.try_get(at + 1)?);
            let hash = |at: usize| -> Result<Option<Hash>, CatalogError> {
                Ok(row.try_get::<Option<Vec<u8>>, _>(at)?.and_then(|hash| Hash::try_from(hash).ok()))
            };
            let (link, leaf) = (hash(at + 2)?, hash(at + 3)?);
            let place = chain.zip(seq.and_then(|seq| u64::try_from(seq).ok())).zip(link.zip(leaf));
            let Some(((chain, seq), (link, leaf))) = place else {
                report.before_chains += 1;
                proof.push(None);
                continue;
            };
            report.records += 1;
            report.flushed += 1;
            let sealed: Option<Vec<u8>> = row.try_get(at + 4)?;
            let digest: Option<Vec<u8>> = row.try_get(at + 5)?;
            match (sealed.map(|sealed| record::digest(&sealed).to_vec()) == digest, erased, expired) {
                (_, _, true) => report.expired += 1,
                (true, ..) => {}
                (false, true, false) => report.erased += 1,
                (false, false, false) => report.find(Fault::Altered, &chain, seq, Some((*kind, name.clone()))),
            }
            match chains.get_mut(&chain) {
                None => report.find(Fault::Foreign, &chain, seq, Some((*kind, name.clone()))),
                Some(stored) => {
                    let record = StoredRecord { kind: *kind, name: name.clone(), leaf, link };
                    if let Some(before) = stored.records.insert(seq, record) {
                        report.find(Fault::Twice, &chain, seq, before.named());
                    }
                }
            }
            proof.push(Some((chain, seq, leaf)));
        }
        if !expired {
            held.insert(name, proof);
        }
    }
    Ok(held)
}

/// Holds the rows of the data plane against what proves them.
async fn compare(mut rows: RowsOfLog, log: Log, mut held: HashMap<String, Proof>, report: &mut Report) -> Result<(), CatalogError> {
    let first = log.kinds().first().map_or(0, |kind| kind.columns().len());
    while let Some(values) = rows.try_next().await? {
        let name = match values.first() {
            Some(Value::Text(Some(name))) => name.clone(),
            _ => String::new(),
        };
        let Some(proof) = held.remove(&name) else {
            report.find(Fault::Foreign, "", 0, log.kinds().first().map(|kind| (*kind, name)));
            continue;
        };
        for (at, (kind, proof)) in log.kinds().iter().zip(proof).enumerate() {
            let Some((chain, seq, leaf)) = proof else { continue };
            let of_kind: Vec<Value> = match at {
                0 => values.iter().take(first).cloned().collect(),
                // The name stands once.
                _ => values.first().into_iter().chain(values.iter().skip(first)).cloned().collect(),
            };
            report.flushed_checked += 1;
            if record::leaf(*kind, &of_kind) != leaf {
                report.find(Fault::Altered, &chain, seq, Some((*kind, name.clone())));
            }
        }
    }
    for (name, proof) in held {
        if let Some((kind, (chain, seq, _))) = log.kinds().iter().zip(proof).find_map(|(kind, proof)| Some((*kind, proof?))) {
            report.find(Fault::Missing, &chain, seq, Some((kind, name)));
        }
    }
    Ok(())
}

/// When it was written, by its own word.
fn time_of(kind: RecordKind, values: &[Value]) -> Option<i64> {
    let column = match kind {
        RecordKind::Start => "start_time",
        RecordKind::End => "end_time",
        RecordKind::Event => "event_time",
    };
    match values.get(kind.columns().iter().position(|name| *name == column)?)? {
        Value::Integer(time) => *time,
        _ => None,
    }
}

/// The values of a record as they were bound.
pub(crate) fn values(row: &AnyRow, kind: RecordKind) -> Result<Vec<Value>, CatalogError> {
    values_from(row, kind, 0)
}

/// As [`values`], of columns that begin at a place of the row.
pub(crate) fn values_from(row: &AnyRow, kind: RecordKind, first: usize) -> Result<Vec<Value>, CatalogError> {
    let value = |(at, column): (usize, &&str)| -> Result<Value, CatalogError> {
        let at = first + at;
        Ok(match *column {
            "statement_digest" | "error_digest" | "detail_digest" => Value::Bytes(row.try_get(at)?),
            "executed_by_oid"
            | "actor_oid"
            | "start_time"
            | "end_time"
            | "event_time"
            | "rows_affected"
            | "read_files"
            | "pruned_files"
            | "read_bytes"
            | "read_rows"
            | "read_io_cache_percent"
            | "from_result_cache"
            | "produced_rows"
            | "written_rows"
            | "written_bytes"
            | "written_files"
            | "spilled_local_bytes" => Value::Integer(row.try_get(at)?),
            duration if duration.ends_with("_duration_ms") => Value::Integer(row.try_get(at)?),
            _ => Value::Text(row.try_get(at)?),
        })
    };
    kind.columns().iter().enumerate().map(value).collect()
}

/// Those whose signature fits.
async fn heads(connection: &mut AnyConnection, public_key: &[u8], report: &mut Report) -> Result<Vec<Head>, CatalogError> {
    let mut heads = Vec::new();
    for row in sqlx::query("SELECT chain, size, head, signature FROM log_heads").fetch_all(connection).await? {
        let (chain, text): (String, String) = (row.try_get(0)?, row.try_get(2)?);
        let (size, signature): (i64, Vec<u8>) = (row.try_get(1)?, row.try_get(3)?);
        report.heads += 1;
        match Head::parse(&text).filter(|_| is_signed(public_key, HEAD, text.as_bytes(), &signature)) {
            Some(head) if head.chain == chain => heads.push(head),
            _ => report.find(Fault::Signature, &chain, u64::try_from(size).unwrap_or(0), None),
        }
    }
    Ok(heads)
}

impl Stored {
    fn check(&self, name: &str, heads: &[Head], tips: &[Tip], report: &mut Report) {
        let genesis = chain::genesis(name, &self.process, self.started_us, &self.follows_text);
        let mut said: HashMap<u64, Vec<&str>> = HashMap::new();
        for tip in tips {
            said.entry(tip.size).or_default().push(&tip.link);
        }
        let agrees = |seq: u64, link: &Hash| said.get(&seq).is_none_or(|said| said.iter().all(|said| *said == STANDARD.encode(link)));
        if !agrees(0, &genesis) || self.records.get(&1).is_some_and(|first| !self.fits(&genesis, first) && self.fits_nowhere(first)) {
            // The first record is as doubtful as the beginning: which of the two was altered nobody can say.
            report.find(Fault::Genesis, name, 0, None);
            return;
        }
        let faults = self.faults(genesis);
        for (seq, fault) in &faults {
            report.find(*fault, name, *seq, self.records.get(seq).and_then(StoredRecord::named));
        }
        let last = self.records.keys().next_back().copied().unwrap_or(0);
        let sound = faults.first().map_or(last, |(seq, _)| seq - 1);
        self.check_heads(name, heads, sound, &agrees, report);
        let claimed = heads.iter().map(|head| head.size).chain(tips.iter().map(|tip| tip.size)).max().unwrap_or(0);
        if claimed > last {
            report.find(Fault::Truncated, name, last + 1, None);
        }
    }

    fn fits(&self, before: &Hash, record: &StoredRecord) -> bool {
        chain::link(before, &record.leaf) == record.link
    }

    fn fits_nowhere(&self, record: &StoredRecord) -> bool {
        !self.records.values().any(|before| self.fits(&before.link, record)) && !self.is_swapped(record)
    }

    /// Its bytes were chained under the number of another record.
    fn is_swapped(&self, record: &StoredRecord) -> bool {
        self.records.range(2..).any(|(seq, other)| {
            self.records.get(&(seq - 1)).is_some_and(|before| chain::link(&before.link, &record.leaf) == other.link)
                && other.name != record.name
        })
    }

    /// Numbers whose records do not stand where they were chained, in order.
    fn faults(&self, genesis: Hash) -> Vec<(u64, Fault)> {
        let mut faults: Vec<(u64, Fault)> = Vec::new();
        // The link before the number, as far as it is to be trusted.
        let mut before = Some(genesis);
        let mut expected = 1;
        for (seq, record) in &self.records {
            for missing in (expected..*seq).take(FINDINGS_MAX) {
                faults.push((missing, Fault::Missing));
                before = None;
            }
            expected = seq + 1;
            let fits = before.is_some_and(|before| self.fits(&before, record));
            if !fits && faults.len() < FINDINGS_MAX {
                let after_fault = faults.last().is_some_and(|(at, _)| at + 1 == *seq);
                if let Some(fault) = self.fault(genesis, *seq, record, after_fault) {
                    faults.push((*seq, fault));
                }
            }
            before = Some(record.link);
        }
        faults
    }

    /// Why a record does not fit the one before it; `None`: it may be the other's fault.
    fn fault(&self, genesis: Hash, seq: u64, record: &StoredRecord, after_fault: bool) -> Option<Fault> {
        if let Some(number) = self.true_number(genesis, record) {
            return (number != seq).then_some(Fault::Reordered);
        }
        if self.is_swapped(record) {
            return Some(Fault::Reordered);
        }
        (!after_fault).then_some(Fault::Altered)
    }

    /// The number under which a record was chained, where what stood before it is still there.
    fn true_number(&self, genesis: Hash, record: &StoredRecord) -> Option<u64> {
        if self.fits(&genesis, record) {
            return Some(1);
        }
        let (seq, before) = self.records.iter().find(|(_, before)| self.fits(&before.link, record))?;
        // The one before may itself have been moved: its own predecessor tells.
        let own = seq.checked_sub(1).and_then(|seq| self.records.get(&seq)).is_some_and(|earlier| self.fits(&earlier.link, before));
        if own || (*seq == 1 && self.fits(&genesis, before)) {
            return Some(seq + 1);
        }
        let earlier = self.records.iter().find(|(_, earlier)| self.fits(&earlier.link, before));
        earlier.map(|(seq, _)| seq + 2)
    }

    /// Roots and links that were signed, and links that other chains name, up to the last record that fits.
    fn check_heads(&self, name: &str, heads: &[Head], sound: u64, agrees: &impl Fn(u64, &Hash) -> bool, report: &mut Report) {
        let mut tree = Frontier::default();
        let mut heads = heads.iter().peekable();
        while heads.next_if(|head| head.size == 0).is_some() {}
        for (seq, record) in self.records.range(..=sound) {
            tree.push(record.leaf);
            let mut is_kept = agrees(*seq, &record.link);
            while let Some(head) = heads.next_if(|head| head.size <= *seq) {
                is_kept &= head.size == *seq && head.root == tree.root() && head.link == record.link;
            }
            if !is_kept {
                report.find(Fault::Rewritten, name, *seq, record.named());
                return;
            }
        }
    }
}
