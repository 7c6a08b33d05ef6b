//! Where mail goes: `[[route]]`.

use std::sync::Arc;

use delivery::{Courier, DeliveryError, Dialect, Means, Signers, TlsMode};
use pki::{Knowledge, Trust};
use protocol::Domain;
use serde_spanned::Spanned;
use session::RelayMode;

use super::{Assembly, Parts};
use crate::config::problem::Problem;
use crate::config::settings::Settings;
use crate::tls_reports::Reports;

impl Assembly<'_> {
    /// What routes are built with.
    pub(super) fn means(
        &mut self,
        settings: &Settings,
        trusts: &Parts<Arc<Trust>>,
        hostname: Option<&Domain>,
        knowledge: Option<&Knowledge>,
        resolver: Option<&Arc<dns::Resolver>>,
    ) -> Option<Means> {
        // As it was written: `check_inbound` is about clients.
        let as_written = |(name, trust): (&String, &Arc<Trust>)| {
            let settings = settings.trust.get(name)?.get_ref();
            let (anchors, intermediates) = (trust.anchors().to_vec(), trust.intermediates().to_vec());
            Some((name.clone(), Arc::new(Trust::new(name, settings, anchors, intermediates).ok()?)))
        };
        let signers = Signers::new(settings.dkim.values().map(serde_spanned::Spanned::get_ref));
        let signers = signers.map_err(|errors| self.route_problems("dkim", &errors)).ok()?;
        Some(Means {
            signers: Arc::new(signers),
            trusts: trusts.built.iter().filter_map(as_written).collect(),
            knowledge: knowledge?.clone(),
            check_revocation: settings.crl.check_outbound,
            resolver: resolver.cloned(),
            dnssec: *settings.dns.dnssec.get_ref() != dns::Dnssec::Off,
            // Its mistakes are told where lists are read.
            fetcher: pki::Fetcher::new(&settings.fetch).unwrap_or_else(|_| pki::Fetcher::local()),
            policy_folder: settings.state_dir.as_ref().map(|folder| folder.get_ref().join("mta-sts")),
            max_wait: settings.fetch.max_wait.0,
            ..Means::alone(hostname?.clone(), session::provider())
        })
    }

    /// The routes, and whether what they name is there.
    pub(super) fn courier<T>(
        &mut self,
        settings: &Settings,
        policies: &Parts<T>,
        trusts: &Parts<Arc<Trust>>,
        means: Option<Means>,
    ) -> Option<Courier> {
        let routes = &settings.route;
        if routes.is_empty() && !self.struck.iter().any(|struck| struck.starts_with("route")) {
            let problem = Problem::error(None, "route", "there is none, so no mail could leave");
            self.problems
                .push(problem.mend("add a [[route]] with domains = [\"*\"] and hosts = [\"mx.example.org:25\"]"));
        }
        let mut unknown = false;
        let listeners: Vec<&String> = settings.listener.iter().map(|listener| listener.name.get_ref()).collect();
        let listeners_struck = self.struck.iter().any(|struck| struck.starts_with("listener"));
        for route in routes {
            // A mail store's verdict is by recipient, after the text (RFC 2033 section 4.2); a client is given one.
            if settings.relay.mode == RelayMode::Inline && route.protocol == Dialect::Lmtp {
                let key = "route.protocol";
                let problem = Problem::error(
                    self.place.at(Some(route.hosts.span())),
                    key,
                    "lmtp and [relay] mode = \"inline\" do not go together",
                );
                self.problems.push(problem.mend("write mode = \"queued\", or hosts that speak SMTP"));
            }
            // What a Maildir holds is answered for by the gateway, which keeps nothing there.
            if let Some(maildir) = route.maildir.as_ref().filter(|_| settings.relay.mode == RelayMode::Inline) {
                let message = "maildir and [relay] mode = \"inline\" do not go together";
                let problem = Problem::error(self.place.at(Some(maildir.span())), "route.maildir", message);
                self.problems.push(problem.mend("write mode = \"queued\", or hosts that speak SMTP"));
            }
            if let Some(trust) = &route.trust
                && self.look_up(trusts, "route.trust", trust).is_none()
            {
                unknown = true;
            }
            for name in &route.policies {
                self.look_up(policies, "route.policies", name);
            }
            for name in route.listeners.iter().filter(|name| !listeners_struck && !listeners.contains(&name.get_ref()))
            {
                let problem = Problem::error(
                    self.place.at(Some(name.span())),
                    "route.listeners",
                    &format!("there is no [[listener]] with the name {:?}", name.get_ref()),
                );
                let known: Vec<&str> = listeners.iter().map(|name| name.as_str()).collect();
                self.problems.push(problem.mend(format!("write one of those there are: {}", known.join(", "))));
            }
        }
        if unknown {
            return None;
        }
        match Courier::new(routes, &means?) {
            Ok(courier) => Some(courier),
            Err(mut errors) => {
                // A Maildir that was struck is not missing.
                if self.struck.iter().any(|struck| struck.starts_with("route") && struck.contains(".maildir")) {
                    errors.retain(|error| !matches!(error, DeliveryError::NoHosts(_)));
                }
                self.route_problems("route", &errors);
                None
            }
        }
    }

    /// `[tls_reports]`, and whether there is anything to report.
    pub(super) fn tls_reports(&mut self, settings: &Settings, means: Option<&Means>) -> Option<Reports> {
        let spanned = settings.tls_reports.as_ref()?;
        let (reports, span) = (spanned.get_ref(), spanned.span());
        if reports.organization.trim().is_empty() {
            self.error(span.clone(), "tls_reports.organization", "empty: who reports?");
        }
        if !reports.from.is_ascii() {
            self.error(span.clone(), "tls_reports.from", "must be ASCII: whoever gets reports may take nothing else");
        }
        let published = |route: &delivery::RouteSettings| matches!(route.tls, TlsMode::Dane | TlsMode::MtaSts);
        if !settings.route.iter().any(published) {
            let message = "nothing will be reported: no route has tls = \"dane\" or \"mta-sts\"";
            self.warn(span.clone(), "tls_reports", message, "write one of these in the route to hosts = [\"mx\"]");
        }
        let domain = reports.from.domain();
        let signs = |dkim: &Spanned<delivery::DkimSettings>| {
            dkim.get_ref().domains.get_ref().iter().any(|signed| signed.same_as(domain))
        };
        if !settings.dkim.values().any(signs) {
            // RFC 8460 section 3.
            let message = format!("reports by mail need a DKIM signature of {domain}, and no [dkim.NAME] is for it");
            self.warn(
                span,
                "tls_reports.from",
                &message,
                "write one, and dkim = true in the route to hosts = [\"mx\"]",
            );
        }
        let means = means?;
        Some(Reports {
            settings: reports.clone(),
            hostname: means.hostname.clone(),
            resolver: Arc::clone(means.resolver.as_ref()?),
            fetcher: means.fetcher.clone(),
        })
    }

    fn route_problems(&mut self, key: &str, errors: &[DeliveryError]) {
        let problem = |error: &DeliveryError| Problem::error(self.place.at(error.span()), key, &error.to_string());
        self.problems.extend(errors.iter().map(problem));
    }
}
