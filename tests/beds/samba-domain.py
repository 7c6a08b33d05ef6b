"""samba-domain.py DIR ADDRESS ADMIN_PW: an Active Directory domain in DIR, of the configuration that is there, with the people of
DIR/people.ldif. What `samba-tool domain provision` does, without DNS and the file server."""
import logging
import sys

import ldb
import samba.param
from samba.auth import system_session
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2
from samba.provision import provision

folder, address, admin_password = sys.argv[1:]
logging.basicConfig(level=logging.INFO)
configuration = samba.param.LoadParm()
domain = provision(
    logging.getLogger(),
    system_session(),
    targetdir=folder,
    lp=configuration,
    realm="AD.EXAMPLE.TEST",
    domain="ADTEST",
    hostname="dc1",
    hostip=address,
    adminpass=admin_password,
    serverrole="active directory domain controller",
    dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2,
    dns_backend="NONE",
    skip_sysvolacl=True,
    batch_mode=True,
)
people = domain.samdb
people.transaction_start()
with open(f"{folder}/people.ldif") as ldif:
    people.add_ldif(ldif.read())
# Five wrong passwords lock an account.
rule = ldb.Message(ldb.Dn(people, people.domain_dn()))
rule["lockoutThreshold"] = ldb.MessageElement("5", ldb.FLAG_MOD_REPLACE, "lockoutThreshold")
people.modify(rule)
people.transaction_commit()
