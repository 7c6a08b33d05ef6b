"""Reads a non-delivery notice as a mail program does, and prints what is in it as JSON."""
import email
import email.policy
import json
import sys

with open(sys.argv[1], "rb") as file:
    notice = email.message_from_binary_file(file, policy=email.policy.default)
parts = list(notice.iter_parts())
# RFC 3464 section 2.1: groups of fields, the first about the message, each other about a recipient.
groups = [dict(group.items()) for group in parts[1].get_payload()]
print(
    json.dumps(
        {
            "return_path": notice["Return-Path"],
            "from": notice["From"],
            "to": notice["To"],
            "subject": notice["Subject"],
            "auto_submitted": notice["Auto-Submitted"],
            "date": notice["Date"] is not None,
            "message_id": notice["Message-ID"] is not None,
            "mime_version": notice["MIME-Version"],
            "type": notice.get_content_type(),
            "report_type": notice.get_param("report-type"),
            "parts": [part.get_content_type() for part in parts],
            "text": parts[0].get_content(),
            "message": groups[0],
            "recipients": groups[1:],
            "returned": parts[2].as_string(),
            "defects": [str(defect) for part in notice.walk() for defect in part.defects],
        }
    )
)
