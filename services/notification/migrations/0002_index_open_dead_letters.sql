-- They are counted every few seconds.
CREATE INDEX dead_letters_open ON dead_letters (dead_letter_id) WHERE redrive_time IS NULL;
