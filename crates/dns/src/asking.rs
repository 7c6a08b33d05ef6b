//! One question to the servers, and whether what came back can be believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer, RetryDnsHandle};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

use crate::answer::Missing;
use crate::settings::{Dnssec, SetupError};

/// Deeper chains of keys than this are nobody's (a level of names asks for DS and DNSKEY).
const MAX_DEPTH: usize = 26;
/// After a failure.
const RETRIES: usize = 1;

type Pool = RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>;

/// The servers, and how far they are believed.
pub(crate) enum Servers {
    Nobody,
    Plain(Pool),
    Trusted(Pool),
    Validated(Box<DnssecDnsHandle<Pool>>),
}

/// What the servers said to one question.
pub(crate) struct Said {
    /// The answer section: records, and aliases on the way to them.
    pub(crate) records: Vec<Record>,
    pub(crate) no_such_name: bool,
    pub(crate) negative_ttl: Option<Duration>,
    /// For all records together; with validation each has its own proof.
    authentic: bool,
    validated: bool,
}

impl Said {
    /// Whether the record is signed.
    ///
    /// # Errors
    /// When it should be and is not, or that could not be found out.
    pub(crate) fn is_secure(&self, record: &Record) -> Result<bool, Missing> {
        match record.proof {
            _ if !self.validated => Ok(self.authentic),
            Proof::Secure => Ok(true),
            Proof::Insecure => Ok(false),
            // Who can hold back an answer must not be able to turn a signed zone into an unsigned one.
            Proof::Bogus | Proof::Indeterminate => Err(bogus()),
        }
    }
}

fn bogus() -> Missing {
    Missing::Unknown("its DNSSEC signatures are missing or wrong".to_owned())
}

impl Servers {
    /// Nothing is asked yet.
    pub(crate) fn new(
        servers: Vec<NameServerConfig>,
        patience: Duration,
        dnssec: Dnssec,
        anchors: TrustAnchors,
    ) -> Result<Self, SetupError> {
        let mut options = ResolverOpts::default();
        // A server that is down leaves time for the next, and a packet that is lost for another.
        options.timeout = patience / 3;
        let tls = TlsConfig::new().map_err(|error| SetupError::Library(error.to_string()))?;
        let context = Arc::new(PoolContext::new(options, tls));
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        let pool = RetryDnsHandle::new(pool, RETRIES);
        Ok(match dnssec {
            Dnssec::Off => Self::Plain(pool),
            Dnssec::Trust => Self::Trusted(pool),
            Dnssec::Validate => Self::Validated(Box::new(DnssecDnsHandle::with_trust_anchor(pool, Arc::new(anchors)))),
        })
    }

    pub(crate) async fn ask(&self, name: Name, kind: RecordType) -> Result<Said, Missing> {
        let mut options = DnsRequestOptions::default();
        options.max_request_depth = MAX_DEPTH;
        options.edns_set_dnssec_ok = matches!(self, Self::Validated(_));
        let mut request = DnsRequest::from_query(Query::query(name.clone(), kind), options);
        let (response, authentic) = match self {
            Self::Nobody => return Err(Missing::Unknown("there is no server to ask".to_owned())),
            Self::Plain(pool) => (pool.send(request).first_answer().await, false),
            Self::Trusted(pool) => {
                // RFC 6840 section 5.7: the bit in a question asks for the one in the answer.
                request.metadata.authentic_data = true;
                let response = pool.send(request).first_answer().await;
                let authentic = response.as_ref().is_ok_and(|response| response.metadata.authentic_data);
                (response, authentic)
            }
            Self::Validated(handle) => (handle.send(request).first_answer().await, false),
        };
        let said = |records, code: ResponseCode, ttl: Option<u32>| Said {
            records,
            no_such_name: code == ResponseCode::NXDomain,
            negative_ttl: ttl.map(|seconds| Duration::from_secs(seconds.into())),
            authentic,
            validated: matches!(self, Self::Validated(_)),
        };
        match response.and_then(|response| DnsError::from_response(response).map_err(NetError::from)) {
            Ok(response) => {
                let (code, ttl) = (response.metadata.response_code, response.negative_ttl());
                Ok(said(response.into_message().answers, code, ttl))
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                Ok(said(Vec::new(), none.response_code, none.negative_ttl))
            }
            Err(NetError::Dns(DnsError::Nsec { response, proof, .. })) => match proof {
                Proof::Secure | Proof::Insecure => {
                    Ok(said(response.answers.clone(), response.metadata.response_code, response.negative_ttl()))
                }
                // What there is not belongs to the alias's end, and hickory 0.26 holds the proof of it against the alias:
                // then the end is asked about by itself.
                Proof::Bogus | Proof::Indeterminate => match alias(&response.answers, &name) {
                    Some(alias) => Ok(said(vec![alias.clone()], ResponseCode::NoError, None)),
                    None => Err(bogus()),
                },
            },
            Err(error) => Err(Missing::Unknown(error.to_string())),
        }
    }
}

/// The alias that the name is, if it is signed as such: one that a wildcard made would need a proof of its own.
fn alias<'r>(records: &'r [Record], name: &Name) -> Option<&'r Record> {
    let signs = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
            let input = signature.input();
            input.type_covered == RecordType::CNAME && input.num_labels == name.num_labels()
        }
        _ => false,
    };
    let mut own = records.iter().filter(|record| record.name == *name);
    own.clone().any(signs).then(|| own.find(|record| record.record_type() == RecordType::CNAME))?
}

/// A server's configuration: asked by UDP, and by TCP what does not fit.
pub(crate) fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}
