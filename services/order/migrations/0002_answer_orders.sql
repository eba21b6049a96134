-- The customer's key of the call that placed the order: whoever settles the order answers the call.
ALTER TABLE orders ADD COLUMN request_id text;

-- The payment provider refused, for good, to give the payment back.
ALTER TABLE orders ADD COLUMN refund_refused boolean NOT NULL DEFAULT false;
