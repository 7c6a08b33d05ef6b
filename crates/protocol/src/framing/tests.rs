mod chunk;
mod data;
mod inbound;
mod replies;
mod stuffing;

/// `octets` cut at each of `cuts`, taken modulo what is left.
fn split<'a>(octets: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = octets;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, tail) = rest.split_at(cut % (rest.len() + 1));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}
