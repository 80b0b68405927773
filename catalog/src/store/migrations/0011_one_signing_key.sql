-- Certificates are signed with the key that signs the heads of the logs.
DROP TABLE privacy_keys;
-- The audit event of a certificate and the proof that the log has it, as JSON.
ALTER TABLE privacy_certificates ADD COLUMN inclusion TEXT;
