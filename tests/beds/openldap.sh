#!/bin/bash
# openldap.sh make|run|start|stop|remove DIR [ADDRESS]: slapd on ports 3389 and 3636. Needs no root. PKI names a folder that
# beds share.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

make() {
  PKI=${PKI:-$DIR/pki}
  mkdir -p "$DIR/db" "$DIR/config"
  make_pki "$PKI" "DNS:localhost,IP:$ADDRESS"
  configuration > "$DIR/config.ldif"
  slapadd -q -n 0 -F "$DIR/config" -l "$DIR/config.ldif" >"$DIR/slapadd.log" 2>&1 || { cat "$DIR/slapadd.log"; die "the configuration"; }
  {
    printf 'dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: Test Org\ndc: example\n\n' "$SUFFIX"
    # What the memberof overlay would keep, had it seen the writes.
    if [ -z "${NO_CAC_SCHEMA:-}" ]; then
      people "$PKI" | sed "/^uid: \(alice\|bob\)$/a memberOf: cn=mailers,ou=groups,$SUFFIX"
    else
      people "$PKI" | sed '/^objectClass: cacPerson$/d; /^cac/d'
    fi
    more_people
  } > "$DIR/people.ldif"
  slapadd -q -n 1 -F "$DIR/config" -l "$DIR/people.ldif" >"$DIR/slapadd.log" 2>&1 || { cat "$DIR/slapadd.log"; die "the people"; }
  info openldap 3389 3636 "$SUFFIX" "ou=people,$SUFFIX" "cn=gateway,ou=services,$SUFFIX" "cn=admin,$SUFFIX"
}

run() {
  exec slapd -F "$DIR/config" -h "ldap://$ADDRESS:3389 ldaps://$ADDRESS:3636" -d stats
}

configuration() {
  cat <<L
dn: cn=config
objectClass: olcGlobal
cn: config
olcLogLevel: stats
olcTLSCACertificateFile: $PKI/ca.pem
olcTLSCertificateFile: $PKI/server.pem
olcTLSCertificateKeyFile: $PKI/server.key
olcTLSVerifyClient: allow
olcTLSProtocolMin: 3.3
olcAuthzRegexp: "cn=gateway,o=Test Org" "cn=gateway,ou=services,$SUFFIX"
# Passwords under TLS only; anonymous binds refused, as are binds without a password (slapd's own default).
olcSecurity: ${SECURITY:-simple_bind=128}
olcDisallows: bind_anon
olcRequires: authc
olcIdleTimeout: ${IDLE:-60}

dn: cn=module{0},cn=config
objectClass: olcModuleList
cn: module{0}
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb
olcModuleLoad: memberof
# Without its overlay: accounts may be marked as locked, and only who looks knows of it.
olcModuleLoad: ppolicy

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif
include: file:///etc/ldap/schema/cosine.ldif
include: file:///etc/ldap/schema/inetorgperson.ldif
include: file:///etc/ldap/schema/nis.ldif
${NO_CAC_SCHEMA:+# }include: file://$(realpath "$HERE/../../etc/schema/cac.openldap.ldif")

dn: olcDatabase=frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: frontend
olcSizeLimit: 100
${FRONTEND_ACCESS:-}

dn: olcDatabase=config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: config

dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
olcSuffix: $SUFFIX
olcRootDN: cn=admin,$SUFFIX
olcRootPW: $ADMIN_PW
olcDbDirectory: $DIR/db
olcDbMaxSize: 268435456
olcDbIndex: objectClass eq
olcDbIndex: uid,mail,member pres,eq
${NO_CAC_SCHEMA:+# }olcDbIndex: caccn,cacserial,cacexempt,cacemergency pres,eq
olcLimits: {0}dn.exact="cn=gateway,ou=services,$SUFFIX" size.soft=100 size.hard=500
olcAccess: {0}to attrs=userPassword by anonymous auth by dn.exact="cn=gateway,ou=services,$SUFFIX" read by self write by * none
olcAccess: {1}to * by dn.exact="cn=gateway,ou=services,$SUFFIX" read by * none

dn: olcOverlay=memberof,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcMemberOfConfig
olcOverlay: memberof

L
}

bed "$@"
