//! What `postern explain` prints of the how-tos: the steps of their judgements, as transcripts.
