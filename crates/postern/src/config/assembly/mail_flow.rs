//! Who is let in: policies, recipients and listeners, and what does not go together among them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use auth::Profile;
use directory::Directory;
use policy::{
    Access, MailFlowPolicy, RecipientTable, RecipientsSettings, Rule, SenderGroup, SenderGroups, SmtpAuth, TlsRule,
};
use session::{ListenerSettings, ListenerTls, Names, Recipients, ServerKey, TlsContext, TlsSettings};

use super::super::ListenerPlan;
use super::super::problem::Problem;
use super::super::settings::Named;
use super::{Assembly, Parts};

impl Assembly<'_> {
    pub(super) fn policies(&mut self, settings: &Named<policy::PolicySettings>) -> Parts<Arc<MailFlowPolicy>> {
        self.each("policy", settings, |this, name, settings| {
            let mut found = Vec::new();
            let policy = MailFlowPolicy::new(name, settings.get_ref(), |span, message| found.push((span, message)));
            for (span, message) in found {
                this.error(span, &format!("policy.{name}"), message);
            }
            let relays = policy.serves();
            if relays && policy.verify_client_certificate && policy.tls == TlsRule::Off {
                let message = "verify_client_certificate needs TLS, and tls is off";
                this.warn(settings.span(), &format!("policy.{name}"), message, "write tls = \"required\"");
            }
            if relays && policy.smtp_auth != SmtpAuth::Off && !policy.require_tls_to_offer_auth {
                let message = "passwords may cross the network in clear text";
                this.warn(
                    settings.span(),
                    &format!("policy.{name}"),
                    message,
                    "write require_tls_to_offer_auth = true",
                );
            }
            this.monitor_warnings(settings.get_ref(), &policy);
            Some(Arc::new(policy))
        })
    }

    /// Rules that are monitored for nothing.
    fn monitor_warnings(&mut self, settings: &policy::PolicySettings, policy: &MailFlowPolicy) {
        let (span, key) = (settings.monitor.span(), format!("policy.{}.monitor", policy.name));
        let idle: Vec<&str> = policy.idle_monitors().iter().map(Rule::name).collect();
        if !idle.is_empty() {
            let message = match policy.serves() {
                true => format!("nothing to monitor: this policy refuses nobody by {}", idle.join(", ")),
                false => format!("access = \"{}\" is never monitored", access(policy.access)),
            };
            self.warn(span, &key, &message, "write the rule that is to be tried out, or leave its name out");
        }
    }

    pub(super) fn recipients(
        &mut self,
        settings: &Named<RecipientsSettings>,
        directories: &Parts<Arc<Directory>>,
    ) -> Parts<Recipients> {
        self.each("recipients", settings, |this, name, settings| {
            let (settings, key) = (settings.get_ref(), format!("recipients.{name}"));
            let mut found = Vec::new();
            let table = RecipientTable::new(name, settings, |span, message| found.push((span, message)));
            for (span, message) in found {
                this.error(span, &key, message);
            }
            let key = format!("{key}.directory");
            let directory = match &settings.directory {
                None => None,
                Some(name) => {
                    let directory = this.look_up(directories, &key, name).cloned()?;
                    if !directory.answers_recipients() {
                        let message =
                            format!("[directory.{}] does not say how a recipient is looked for", directory.name());
                        let problem = Problem::error(this.place.at(Some(name.span())), &key, &message);
                        let mend = format!(
                            "write [directory.{}.recipient_query] with filter = \"(mail={{a}})\"",
                            directory.name()
                        );
                        this.problems.push(problem.mend(mend));
                    }
                    Some(directory)
                }
            };
            Some(Recipients { table, directory })
        })
    }

    /// Names of clients are looked up only where somebody is known by one.
    pub(super) fn names(resolver: Option<&Arc<dns::Resolver>>, listeners: &[ListenerPlan]) -> Option<Names> {
        let wanted = listeners.iter().any(|listener| listener.groups.name_hosts());
        wanted.then(|| resolver.map(|resolver| Names::new(Arc::clone(resolver))))?
    }

    /// Policies that accept mail for the listener's own recipients, and recipients that nobody asks for.
    fn recipients_of_listener(&mut self, settings: &ListenerSettings, groups: &SenderGroups, has_recipients: bool) {
        let accepts = groups.policies().find(|policy| policy.access == Access::Accept);
        match (accepts, &settings.recipients) {
            (Some(policy), None) => {
                let message =
                    format!("policy {:?} accepts mail for the listener's recipients, and it names none", policy.name);
                let problem =
                    Problem::error(self.place.at(Some(settings.name.span())), "listener.recipients", &message);
                self.problems
                    .push(problem.mend("write recipients = \"NAME\" and a [recipients.NAME], or access = \"relay\""));
            }
            (None, Some(name)) if has_recipients => {
                let message = "no policy of this listener asks for them";
                self.warn(name.span(), "listener.recipients", message, "write access = \"accept\" in a policy");
            }
            _ => {}
        }
    }

    /// What listeners say of themselves and of each other.
    pub(super) fn listener_names(&mut self, settings: &[ListenerSettings]) {
        if settings.is_empty() && !self.struck.iter().any(|struck| struck.starts_with("listener")) {
            let problem = Problem::error(None, "listener", "there is none, so no client could connect");
            self.problems.push(problem.mend("add a [[listener]] with name, bind, tls and default_policy"));
        }
        let mut names = HashSet::new();
        let mut addresses = HashMap::new();
        for listener in settings {
            let name = listener.name.get_ref();
            if !names.insert(name.clone()) {
                self.error(listener.name.span(), "listener.name", format!("{name:?} is the name of another listener"));
            }
            let addresses_struck =
                || self.struck.iter().any(|key| key.starts_with("listener[") && key.contains("].bind["));
            if listener.bind.get_ref().is_empty() && !addresses_struck() {
                self.error(listener.bind.span(), "listener.bind", "no address: write [\"0.0.0.0:587\", \"[::]:587\"]");
            }
            // Port 0 is any free one, and never the same twice.
            for address in listener.bind.get_ref().iter().filter(|address| address.port() != 0) {
                if let Some(other) = addresses.insert(*address, name.clone()) {
                    let message = format!("{address} is bound by listener {other:?} already");
                    self.error(listener.bind.span(), "listener.bind", message);
                }
            }
        }
    }

    pub(super) fn listener(
        &mut self,
        settings: &ListenerSettings,
        tls: &TlsSettings,
        key: &Arc<ServerKey>,
        profiles: &Parts<Arc<Profile>>,
        policies: &Parts<Arc<MailFlowPolicy>>,
        recipients: &Parts<Recipients>,
    ) -> Option<ListenerPlan> {
        // Every name is looked up before the first unknown one ends this.
        let profile = match &settings.authentication {
            None => Some(None),
            Some(name) => self.look_up(profiles, "listener.authentication", name).cloned().map(Some),
        };
        let default_policy = self.look_up(policies, "listener.default_policy", &settings.default_policy).cloned();
        let groups: Vec<Option<SenderGroup>> = settings
            .sender_groups
            .iter()
            .map(|group| {
                let policy = self.look_up(policies, "listener.sender_groups.policy", &group.policy)?;
                let clients = group.clients.iter().map(|pattern| pattern.get_ref().clone()).collect();
                Some(SenderGroup { name: group.name.as_str().into(), clients, policy: Arc::clone(policy) })
            })
            .collect();
        let recipients = match &settings.recipients {
            None => Some(None),
            Some(name) => self.look_up(recipients, "listener.recipients", name).cloned().map(Some),
        };
        if let Some(zero) = settings.max_connections.as_ref().filter(|most| *most.get_ref() == 0) {
            self.error(zero.span(), "listener.max_connections", "max_connections must be at least 1");
        }
        let groups = SenderGroups::new(groups.into_iter().collect::<Option<_>>()?, default_policy?);
        let (profile, recipients) = (profile?, recipients?);
        self.recipients_of_listener(settings, &groups, recipients.is_some());
        self.listener_warnings(settings, &groups, profile.as_deref());
        let judging = profile.as_deref().filter(|profile| profile.rules.certificate.is_some());
        let policies = groups.policies().filter(|policy| policy.has_suites());
        let tls = TlsContext::new(tls, Arc::clone(key), judging.map(authority_names), policies)
            .map_err(|error| self.error(settings.name.span(), "listener", error))
            .ok()?;
        Some(ListenerPlan {
            name: settings.name.get_ref().clone(),
            bind: settings.bind.get_ref().clone(),
            implicit_tls: settings.tls,
            proxy_protocol_from: settings.proxy_protocol_from.clone(),
            groups,
            max_connections: settings.max_connections.as_ref().map_or(u32::MAX, |most| *most.get_ref()),
            recipients,
            basis: session::Basis::default(),
            profile,
            tls,
        })
    }

    fn listener_warnings(&mut self, settings: &ListenerSettings, groups: &SenderGroups, profile: Option<&Profile>) {
        let span = settings.name.span();
        for policy::Unreachable { group, behind } in groups.unreachable() {
            let (last, others) = behind.split_last().unwrap_or((&"", &[]));
            let others: Vec<String> = others.iter().map(|name| format!("{name:?}")).collect();
            let message = match others.is_empty() {
                true => format!("no client reaches the sender group {group:?}: {last:?} before it holds them all"),
                false => format!(
                    "no client reaches the sender group {group:?}: {} and {last:?} before it hold them all",
                    others.join(", ")
                ),
            };
            self.warn(span.clone(), "listener.sender_groups", &message, "put the narrower group first");
        }
        let mut seen = HashSet::new();
        let serving = groups.policies().filter(|policy| policy.serves());
        let policies: Vec<_> = serving.filter(|policy| seen.insert(Arc::clone(&policy.name))).collect();
        // A policy that asks for no certificate goes to the password at once.
        let never_opened = profile.is_some_and(|profile| profile.rules.password_never_opens());
        let enforces = |policy: &&Arc<MailFlowPolicy>| {
            policy.verify_client_certificate && !policy.monitor.contains(Rule::Certificate)
        };
        if never_opened && !policies.is_empty() && policies.iter().all(enforces) {
            let message =
                "the profile's password is never asked for: on_missing, on_invalid and on_no_match all reject";
            self.warn(span.clone(), "listener.authentication", message, "write on_missing = \"fallback\"");
        }
        for policy in policies {
            let name = &policy.name;
            let asks = policy.verify_client_certificate || policy.smtp_auth == SmtpAuth::Required;
            if asks && profile.is_none() && policy.access != Access::Reject {
                let message = format!("policy {name:?} asks who the client is, and this listener cannot tell");
                self.warn(span.clone(), "listener.authentication", &message, "name an [authentication.…] profile");
            }
            let monitored = policy.smtp_auth == SmtpAuth::Required && policy.monitor.contains(Rule::Auth);
            let open = (policy.smtp_auth != SmtpAuth::Required || monitored) && policy.access == Access::Relay;
            if open && groups.is_for_everybody(policy) {
                let message = format!("an open relay: policy {name:?} lets unknown clients of every address send");
                let mend = match monitored {
                    true => "take \"auth\" out of its monitor, or give it to a sender group only",
                    false => "write smtp_auth = \"required\" there",
                };
                self.warn(span.clone(), "listener.default_policy", &message, mend);
            } else if open && monitored {
                let message = format!(
                    "while \"auth\" is monitored, policy {name:?} relays for every client of its sender groups, whoever it is"
                );
                let mend =
                    "keep those groups to your own networks, and enforce soon: `postern report` says when it is safe";
                self.warn(span.clone(), "listener.sender_groups", &message, mend);
            }
            let tried = policy.monitor.contains(Rule::Certificate) && policy.verify_client_certificate;
            let then_refused = policy.smtp_auth == SmtpAuth::Required && !policy.monitor.contains(Rule::Auth);
            if tried && then_refused && profile.is_some_and(|profile| profile.rules.password.is_none()) {
                let message = format!(
                    "\"certificate\" is monitored in policy {name:?}, and who shows none is still refused by \"auth\": the profile has no password"
                );
                self.warn(span.clone(), "listener.authentication", &message, "monitor \"auth\" too");
            }
            if settings.tls == ListenerTls::Implicit && policy.tls == TlsRule::Off {
                let message = format!("policy {name:?} says tls = \"off\", and this listener begins with TLS");
                self.warn(span.clone(), "listener.tls", &message, "write tls = \"required\" in the policy");
            }
        }
    }
}

/// As the configuration writes it.
fn access(access: Access) -> &'static str {
    match access {
        Access::Relay => "relay",
        Access::Accept => "accept",
        Access::Reject => "reject",
        Access::Refuse => "refuse",
    }
}

/// The hint for clients with several certificates; none when it would be longer than the trust allows.
fn authority_names(profile: &Profile) -> Vec<Vec<u8>> {
    let Some(trust) = profile.trust() else { return Vec::new() };
    let names = trust.ca_names();
    let few = names.len() <= trust.settings().max_ca_hints;
    names.iter().filter(|_| few).map(|name| name.der().to_vec()).collect()
}
