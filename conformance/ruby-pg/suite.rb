# frozen_string_literal: true

require 'pg'
require 'timeout'

CHECK_SECONDS_MAX = 60

def check(name)
  Timeout.timeout(CHECK_SECONDS_MAX) { yield }
  puts "ok #{name}"
rescue StandardError, NotImplementedError => e
  at = e.backtrace&.find { |line| line.include?('suite.rb') }.to_s[/suite\.rb:\d+/]
  puts "not ok #{name}: #{e.class} #{e.message.split.join(' ')} (#{at})"
ensure
  $stdout.flush
end

def equal(actual, expected)
  raise "expected #{expected.inspect}, got #{actual.inspect}" unless actual == expected
end

def fails(kind, sqlstate)
  yield
rescue PG::Error => e
  code = e.result&.error_field(PG::PG_DIAG_SQLSTATE)
  raise "expected #{kind} #{sqlstate}, got #{e.class} #{code}: #{e.message}" unless e.is_a?(kind) && code == sqlstate

  e.result
else
  raise "expected SQLSTATE #{sqlstate}, no error came"
end

# libpq takes host, TLS and all else from the environment.
def with_connection(**options)
  connection = PG.connect(**options)
  connection.set_notice_processor { |_| nil }
  yield connection
ensure
  connection&.close
end

def one(name, **options, &body)
  check(name) { with_connection(**options, &body) }
end

one('connect') { |c| equal c.exec('SELECT current_user').getvalue(0, 0), ENV['PGUSER'] }
one('tls') { |c| equal c.ssl_in_use?, true }
check('wrong_password') do
  with_connection(password: 'wrong')
rescue PG::ConnectionBad => e
  raise unless e.message.include?('password authentication failed')
else
  raise 'connected'
end
one('connect_async') do |_|
  c = PG::Connection.connect_start({})
  while (status = c.connect_poll) != PG::PGRES_POLLING_OK
    raise c.error_message if status == PG::PGRES_POLLING_FAILED

    c.socket_io.public_send(status == PG::PGRES_POLLING_READING ? :wait_readable : :wait_writable, 5)
  end
  equal c.exec('SELECT 1').getvalue(0, 0), '1'
  c.close
end

SAMPLES = {
  'bool' => ['boolean', true], 'int2' => ['smallint', -32_768], 'int4' => ['integer', 2_147_483_647], 'int8' => ['bigint', 9_223_372_036_854_775_807],
  'float8' => ['double precision', 0.1], 'text' => ['text', "äöü ' \" \\ \n 😀"], 'bytea' => ['bytea', "\x00\x01\xFF\\'".b],
  'date' => ['date', Date.new(2024, 2, 29)], 'null' => ['integer', nil]
}.freeze

[0, 1].each do |format|
  SAMPLES.each do |name, (type, value)|
    one("types.#{format.zero? ? 'text' : 'binary'}.#{name}") do |c|
      c.type_map_for_results = PG::BasicTypeMapForResults.new(c)
      encoders = PG::BasicTypeMapForQueries.new(c)
      encoders[String] = nil
      parameter = name == 'bytea' ? { value: value, format: 1 } : value
      parameter = value.to_s if name == 'date'
      c.type_map_for_queries = encoders unless name == 'bytea'
      2.times { equal c.exec_params("SELECT $1::#{type}", [parameter], format).getvalue(0, 0), name == 'date' && format == 1 ? c.exec_params("SELECT $1::#{type}", [parameter], 1).getvalue(0, 0) : value }
      c.exec("DROP TABLE IF EXISTS rb_type_#{name}")
      c.exec("CREATE TABLE rb_type_#{name} (id integer, v #{type})")
      c.exec_params("INSERT INTO rb_type_#{name} VALUES (1, $1)", [parameter])
      equal c.exec_params("SELECT v FROM rb_type_#{name} WHERE id = $1", [1], 0).getvalue(0, 0), value
      c.exec("DROP TABLE rb_type_#{name}")
    end
  end
end

one('types.array_and_timestamp') do |c|
  c.type_map_for_results = PG::BasicTypeMapForResults.new(c)
  row = c.exec("SELECT ARRAY[1, NULL, 3], ARRAY['a,b', '\"q\"', ''], '2024-02-29 13:14:15.123456'::timestamp, '1.50'::numeric(5,2), '{\"a\": [1]}'::json").values.first
  equal row[0..1], [[1, nil, 3], ['a,b', '"q"', '']]
  equal row[2].usec, 123_456
  equal [row[3], row[4]], [BigDecimal('1.5'), { 'a' => [1] }]
end

one('prepared') do |c|
  c.prepare('sum', 'SELECT $1::int + $2::int AS s')
  5.times { |i| equal c.exec_prepared('sum', [i, 1])[0]['s'], (i + 1).to_s }
  description = c.describe_prepared('sum')
  equal [description.nparams, description.paramtype(0), description.fname(0)], [2, 23, 's']
end

one('field_source') do |c|
  c.exec('DROP TABLE IF EXISTS rb_src')
  c.exec('CREATE TABLE rb_src (a integer, b varchar(7))')
  result = c.exec('SELECT b, a + 1 AS c FROM rb_src')
  oid = c.exec("SELECT 'rb_src'::regclass::oid").getvalue(0, 0).to_i
  equal [result.ftable(0), result.ftablecol(0), result.ftype(0), result.fmod(0), result.ftable(1)], [oid, 2, 1043, 11, 0]
end

one('transaction') do |c|
  c.exec('DROP TABLE IF EXISTS rb_tx')
  c.exec('CREATE TABLE rb_tx (a integer)')
  c.transaction do
    equal c.transaction_status, PG::PQTRANS_INTRANS
    c.exec('INSERT INTO rb_tx VALUES (1)')
    with_connection { |other| equal other.exec('SELECT count(*) FROM rb_tx').getvalue(0, 0), '0' }
  end
  begin
    c.transaction do
      c.exec('DELETE FROM rb_tx')
      raise 'back'
    end
  rescue RuntimeError
    nil
  end
  equal c.exec('SELECT count(*) FROM rb_tx').getvalue(0, 0), '1'
  c.exec('BEGIN')
  fails(PG::DivisionByZero, '22012') { c.exec('SELECT 1 / 0') }
  equal c.transaction_status, PG::PQTRANS_INERROR
  fails(PG::InFailedSqlTransaction, '25P02') { c.exec('SELECT 1') }
  c.exec('ROLLBACK')
end

one('errors') do |c|
  fails(PG::SyntaxError, '42601') { c.exec('SELEC 1') }
  fails(PG::UndefinedColumn, '42703') { c.exec('SELECT nothing') }
  fails(PG::UndefinedFunction, '42883') { c.exec('SELECT nothing_like_it(1)') }
  fails(PG::InvalidTextRepresentation, '22P02') { c.exec_params('SELECT $1::int', ['x']) }
  result = fails(PG::UndefinedTable, '42P01') { c.exec('SELECT * FROM nothing_there') }
  equal result.error_field(PG::PG_DIAG_STATEMENT_POSITION), '15'
  c.exec('DROP TABLE IF EXISTS rb_err')
  c.exec('CREATE TABLE rb_err (a integer NOT NULL, CONSTRAINT small CHECK (a < 10))')
  result = fails(PG::CheckViolation, '23514') { c.exec('INSERT INTO rb_err VALUES (10)') }
  equal [PG::PG_DIAG_SCHEMA_NAME, PG::PG_DIAG_TABLE_NAME, PG::PG_DIAG_CONSTRAINT_NAME].map { |field| result.error_field(field) }, %w[public rb_err small]
  result = fails(PG::NotNullViolation, '23502') { c.exec('INSERT INTO rb_err VALUES (NULL)') }
  equal result.error_field(PG::PG_DIAG_COLUMN_NAME), 'a'
end

one('copy') do |c|
  c.exec('DROP TABLE IF EXISTS rb_copy')
  c.exec('CREATE TABLE rb_copy (a integer, b text)')
  encoder = PG::TextEncoder::CopyRow.new
  result = c.copy_data('COPY rb_copy FROM STDIN', encoder) { 5000.times { |i| c.put_copy_data([i.to_s, i % 10 == 0 ? nil : "zeile\t#{i}"]) } }
  equal result.cmd_tuples, 5000
  rows = []
  c.copy_data('COPY (SELECT * FROM rb_copy WHERE a < 2 ORDER BY a) TO STDOUT', PG::TextDecoder::CopyRow.new) do
    while (row = c.get_copy_data)
      rows << row
    end
  end
  equal rows, [['0', nil], ['1', "zeile\t1"]]
  fails(PG::InvalidTextRepresentation, '22P02') { c.copy_data('COPY rb_copy FROM STDIN') { c.put_copy_data("x\ty\n") } }
  equal c.exec('SELECT count(*) FROM rb_copy').getvalue(0, 0), '5000'
end

one('copy_binary') do |c|
  c.exec('DROP TABLE IF EXISTS rb_copyb')
  c.exec('CREATE TABLE rb_copyb (a integer, b text)')
  # This version has no encoder for it: the format of PostgreSQL's manual, chapter COPY, by hand.
  head = "PGCOPY\n\xff\r\n\0".b + [0, 0].pack('NN')
  field = ->(bytes) { bytes.nil? ? [-1].pack('l>') : [bytes.bytesize].pack('l>') + bytes }
  row = ->(i, text) { [2].pack('n') + field.call([i].pack('l>')) + field.call(text) }
  c.copy_data('COPY rb_copyb FROM STDIN (FORMAT binary)') do
    c.put_copy_data(head)
    100.times { |i| c.put_copy_data(row.call(i, i == 7 ? nil : "b#{i}")) }
    c.put_copy_data([-1].pack('s>'))
  end
  equal c.exec('SELECT count(*), count(b), sum(a) FROM rb_copyb').values, [%w[100 99 4950]]
  out = ''.b
  c.copy_data('COPY (SELECT * FROM rb_copyb WHERE a BETWEEN 6 AND 7 ORDER BY a) TO STDOUT (FORMAT binary)') do
    while (part = c.get_copy_data)
      out << part
    end
  end
  equal out, head + row.call(6, 'b6') + row.call(7, nil) + [-1].pack('s>')
end

one('pipeline') do |c|
  c.enter_pipeline_mode
  3.times { |i| c.send_query_params('SELECT $1::int', [i]) }
  c.pipeline_sync
  seen = Array.new(3) do
    value = c.get_result.getvalue(0, 0)
    equal c.get_result, nil
    value
  end
  equal seen, %w[0 1 2]
  equal c.get_result.result_status, PG::PGRES_PIPELINE_SYNC
  c.send_query_params('SELECT 1 / $1::int', [0])
  c.send_query_params('SELECT 1', [])
  c.pipeline_sync
  fails(PG::DivisionByZero, '22012') { c.get_result.check }
  c.get_result
  equal c.get_result.result_status, PG::PGRES_PIPELINE_ABORTED
  c.get_result
  equal c.get_result.result_status, PG::PGRES_PIPELINE_SYNC
  c.exit_pipeline_mode
  equal c.exec('SELECT 5').getvalue(0, 0), '5'
end

one('single_row_mode') do |c|
  c.send_query('SELECT i FROM generate_series(1, 20000) AS g(i)')
  c.set_single_row_mode
  sum = 0
  c.get_result.stream_each { |row| sum += row['i'].to_i }
  equal sum, 200_010_000
end

one('cursor') do |c|
  c.transaction do
    c.exec('DECLARE cur CURSOR FOR SELECT generate_series(1, 250)')
    sizes = []
    loop do
      sizes << c.exec('FETCH 100 FROM cur').ntuples
      break if sizes.last < 100
    end
    equal sizes, [100, 100, 50]
    c.exec('CLOSE cur')
  end
end

one('cancel') do |c|
  Thread.new do
    sleep 0.5
    c.cancel
  end
  fails(PG::QueryCanceled, '57014') { c.exec('SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b') }
  equal c.exec('SELECT 1').getvalue(0, 0), '1'
end

one('notify') do |c|
  c.exec('LISTEN rb_news')
  with_connection { |other| other.exec("NOTIFY rb_news, 'it is'") }
  equal c.wait_for_notify(10) { |channel, _, payload| equal [channel, payload], ['rb_news', 'it is'] }, 'rb_news'
end

one('notices') do |c|
  heard = []
  c.set_notice_processor { |message| heard << message }
  c.exec('DROP TABLE IF EXISTS never_there')
  equal heard.map(&:strip), ['NOTICE:  table "never_there" does not exist, skipping']
end

one('parameter_status') do |c|
  equal [c.parameter_status('server_encoding'), c.parameter_status('integer_datetimes'), c.server_version / 10_000], ['UTF8', 'on', 15]
  c.exec("SET application_name = 'renamed'")
  equal c.parameter_status('application_name'), 'renamed'
end

puts "# version pg #{PG::VERSION}"
puts '# done'
