//! A look at each server of a directory: whether it can be asked, and would answer rightly.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::LdapDirectory;
use crate::filter::Filter;
use crate::finding::{Finding, FindingState, mend};
use crate::ldap::connection::Connection;
use crate::ldap::message::Depth;
use crate::ldap::schema::Unfit;
use crate::ldap::server::Server;

impl LdapDirectory {
    /// See [`crate::Directory::check_connection`].
    pub(crate) async fn check_connection(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for server in self.pool.servers() {
            let patience = self.timeout.max(Duration::from_secs(10));
            findings.extend(match timeout(patience, self.check(server)).await {
                Ok(found) => found,
                Err(_) => vec![self.failure(server, format!("no answer within {} s", patience.as_secs()))],
            });
        }
        findings
    }

    fn finding(&self, server: &Server, state: FindingState, key: &'static str, text: String) -> Finding {
        Finding { server: server.url().to_string(), state, key, span: self.places.of(key), text, mend: None }
    }

    fn failure(&self, server: &Server, why: String) -> Finding {
        let (key, mend) = mend(&why);
        Finding { mend, ..self.finding(server, FindingState::Problem, key, why) }
    }

    async fn check(&self, server: &Server) -> Vec<Finding> {
        use FindingState::{Fine, Problem, Warning};
        let began = Instant::now();
        let connection = match server.connector().connect_and_bind(server.url()).await {
            Ok(connection) => connection,
            Err(why) => return vec![self.failure(server, why)],
        };
        let fine = |key, text: String| self.finding(server, Fine, key, text);
        let text = format!("answers, and takes the gateway's bind ({} ms)", began.elapsed().as_millis());
        let mut found = vec![fine("servers", text)];
        let lenient = if server.wanted().warn_only { Warning } else { Problem };
        match server.wanted().examine(&connection).await {
            Ok(()) => found.push(fine("servers", "its schema has every attribute that is named".to_owned())),
            Err(Unfit::Unknown(attributes)) => found.extend(attributes.into_iter().map(|(name, key)| Finding {
                mend: Some("misspelt, or is the schema with it not loaded in the server?"),
                ..self.finding(server, lenient, key, format!("its schema has no attribute {name:?}"))
            })),
            Err(unfit @ Unfit::Hidden(_)) => {
                found.push(self.finding(server, lenient, "unknown_attributes", unfit.to_string()));
            }
            Err(Unfit::Broken(why)) => found.push(self.failure(server, why)),
        }
        for base in self.bases.iter().filter(|base| base.is_fixed() && !base.to_string().is_empty()) {
            let dn = base.to_string();
            found.push(match self.look_at(&connection, &dn).await {
                Ok(1..) => fine("base", format!("the base {dn:?} is there")),
                looked => Finding {
                    mend: Some("write the distinguished name of an entry that the gateway's account may read"),
                    ..self.finding(
                        server,
                        Problem,
                        "base",
                        match looked {
                            Err(why) => format!("the base {dn:?}: {why}"),
                            Ok(_) => format!("the base {dn:?} is not there, or not for the gateway's eyes"),
                        },
                    )
                },
            });
        }
        found
    }

    async fn look_at(&self, connection: &Connection, dn: &str) -> Result<usize, String> {
        let filter = Filter::Present("objectClass".to_owned());
        let operation = self.operation(dn, Depth::Base, &filter, &["1.1".to_owned()]);
        let answer = connection.call(operation, 1).await.map_err(|lost| lost.to_string())?;
        match answer.ended.code {
            0 => Ok(answer.seen),
            _ => Err(answer.ended.told()),
        }
    }
}
