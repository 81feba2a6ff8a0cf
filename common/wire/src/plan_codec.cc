#include "demur/wire/plan_codec.h"

#include <cmath>

#include "flat_reader.h"
#include "schema/plan.capnp.h"

namespace demur::wire {
namespace {

using internal::AsData;
using internal::CopyExactly;
using internal::CopyText;
using internal::FieldOutOfRange;

// Plan::Validate knows these ranges too; they are here so that nothing large is made first.
constexpr std::size_t kMaxNameLen = 32;
constexpr std::uint32_t kMaxHyper = 64;
constexpr std::uint32_t kMaxCols = 4096;

capnp::Text::Reader AsText(const std::string& text) { return {text.c_str(), text.size()}; }

void WriteTraining(const model::TrainingPlan& training, schema::Training::Builder out) {
  out.setAlgorithm(AsText(training.algorithm));
  out.setValueMax(training.value_max);
  out.setNormaliser(training.normaliser);
  auto hyper = out.initHyper(static_cast<kj::uint>(training.hyper.size()));
  for (kj::uint i = 0; i < hyper.size(); ++i) {
    hyper[i].setName(AsText(training.hyper[i].name));
    hyper[i].setValue(training.hyper[i].value);
  }
  DEMUR_CHECK(training.slice.tables.size() == training.schema.tables.size(),
              "a slice has one entry per table");
  auto tables = out.initTables(static_cast<kj::uint>(training.schema.tables.size()));
  for (kj::uint t = 0; t < tables.size(); ++t) {
    const model::TableSpec& spec = training.schema.tables[t];
    const model::TableSlice& slice = training.slice.tables[t];
    tables[t].setName(AsText(spec.name));
    tables[t].setRows(spec.rows);
    tables[t].setCols(spec.cols);
    tables[t].setWeight(spec.weight);
    tables[t].setAll(slice.all);
    tables[t].setSlice(kj::arrayPtr(slice.rows.data(), slice.rows.size()));
  }
}

Status ReadTables(capnp::List<schema::Table>::Reader tables, const PlanLimits& limits,
                  model::TrainingPlan* out) {
  if (tables.size() > model::kMaxTables) return FieldOutOfRange("tables");
  std::uint64_t coordinates = 0;
  for (const schema::Table::Reader table : tables) {
    model::TableSpec spec;
    model::TableSlice slice;
    if (!CopyText(table.getName(), kMaxNameLen, &spec.name)) return FieldOutOfRange("table name");
    spec.rows = table.getRows();
    spec.cols = table.getCols();
    spec.weight = table.getWeight();
    if (spec.cols > kMaxCols) return FieldOutOfRange("table columns");
    coordinates += std::uint64_t{spec.rows} * spec.cols;
    if (coordinates > limits.max_coordinates) return FieldOutOfRange("coordinates of the model");
    slice.all = table.getAll();
    const auto rows = table.getSlice();
    if (rows.size() > spec.rows) return FieldOutOfRange("rows of the slice");
    slice.rows.reserve(rows.size());
    for (const std::uint32_t row : rows) slice.rows.push_back(row);
    out->schema.tables.push_back(std::move(spec));
    out->slice.tables.push_back(std::move(slice));
  }
  return {};
}

Status ReadTraining(schema::Training::Reader in, const PlanLimits& limits,
                    model::TrainingPlan* out) {
  if (!CopyText(in.getAlgorithm(), kMaxNameLen, &out->algorithm)) {
    return FieldOutOfRange("algorithm");
  }
  out->value_max = in.getValueMax();
  out->normaliser = in.getNormaliser();
  const auto hyper = in.getHyper();
  if (hyper.size() > kMaxHyper) return FieldOutOfRange("hyper");
  for (const schema::HyperParameter::Reader entry : hyper) {
    model::HyperParameter parameter;
    if (!CopyText(entry.getName(), kMaxNameLen, &parameter.name)) return FieldOutOfRange("hyper");
    parameter.value = entry.getValue();
    out->hyper.push_back(std::move(parameter));
  }
  return ReadTables(in.getTables(), limits, out);
}

void WriteEncoding(const model::EncodingPlan& encoding, schema::Encoding::Builder out) {
  out.setClipNorm(encoding.clip_norm);
  out.setScale(encoding.scale);
  out.setBits(encoding.bits);
  out.setNoiseVariance(encoding.noise_variance);
  out.setL2SqMax(encoding.l2_sq_max);
  out.setL1Max(encoding.l1_max);
  out.setRowsMax(encoding.rows_max);
}

model::EncodingPlan ReadEncoding(schema::Encoding::Reader in) {
  model::EncodingPlan out;
  out.clip_norm = in.getClipNorm();
  out.scale = in.getScale();
  out.bits = in.getBits();
  out.noise_variance = in.getNoiseVariance();
  out.l2_sq_max = in.getL2SqMax();
  out.l1_max = in.getL1Max();
  out.rows_max = in.getRowsMax();
  return out;
}

void WritePrivacy(const model::PrivacyPlan& privacy, schema::Privacy::Builder out) {
  out.setNoise(privacy.noise);
  out.setWeakPrivacy(privacy.weak_privacy);
  out.setEpsilon(privacy.epsilon);
  out.setDelta(privacy.delta);
  out.setParticipationsMax(privacy.participations_max);
  out.setRoundsMax(privacy.rounds_max);
}

Status ReadPrivacy(schema::Privacy::Reader in, model::PrivacyPlan* result) {
  model::PrivacyPlan& out = *result;
  out.noise = in.getNoise();
  out.weak_privacy = in.getWeakPrivacy();
  out.epsilon = in.getEpsilon();
  out.delta = in.getDelta();
  out.participations_max = in.getParticipationsMax();
  out.rounds_max = in.getRoundsMax();
  // Validate looks at these two only where there is noise.
  if (!std::isfinite(out.epsilon) || !std::isfinite(out.delta)) return FieldOutOfRange("privacy");
  return {};
}

void WriteSecAgg(const model::SecAggPlan& secagg, schema::SecAgg::Builder out) {
  out.setProfile(static_cast<std::uint8_t>(secagg.profile));
  out.setRosterMin(secagg.roster_min);
  out.setRosterMax(secagg.roster_max);
  out.setCorruptPermille(secagg.corrupt_permille);
  out.setDropoutPermille(secagg.dropout_permille);
  out.setSigma(secagg.sigma);
  out.setEta(secagg.eta);
}

model::SecAggPlan ReadSecAgg(schema::SecAgg::Reader in) {
  model::SecAggPlan out;
  out.profile = static_cast<model::SecAggProfile>(in.getProfile());  // Validate knows the two
  out.roster_min = in.getRosterMin();
  out.roster_max = in.getRosterMax();
  out.corrupt_permille = in.getCorruptPermille();
  out.dropout_permille = in.getDropoutPermille();
  out.sigma = in.getSigma();
  out.eta = in.getEta();
  return out;
}

void WriteTimeouts(const model::TimeoutPlan& timeouts, schema::Timeouts::Builder out) {
  out.setTraining(timeouts.training_ms);
  out.setAdvertise(timeouts.advertise_ms);
  out.setShare(timeouts.share_ms);
  out.setMask(timeouts.mask_ms);
  out.setConfirm(timeouts.confirm_ms);
  out.setUnmask(timeouts.unmask_ms);
}

model::TimeoutPlan ReadTimeouts(schema::Timeouts::Reader in) {
  model::TimeoutPlan out;
  out.training_ms = in.getTraining();
  out.advertise_ms = in.getAdvertise();
  out.share_ms = in.getShare();
  out.mask_ms = in.getMask();
  out.confirm_ms = in.getConfirm();
  out.unmask_ms = in.getUnmask();
  return out;
}

void WriteCohort(const model::CohortPlan& cohort, schema::Cohort::Builder out) {
  out.setRate(cohort.rate);
  out.setStatement(AsData(cohort.statement));
}

Status ReadCohort(schema::Cohort::Reader in, model::CohortPlan* out) {
  out->rate = in.getRate();
  if (!internal::CopyAtMost(in.getStatement(), model::kMaxStatementLen, &out->statement)) {
    return FieldOutOfRange("cohort statement");
  }
  return {};
}

void WriteSession(const model::SessionPlan& session, schema::Session::Builder out) {
  out.setKind(static_cast<std::uint8_t>(session.kind));
  WriteEncoding(session.other, out.initOther());
  out.setOtherDim(session.other_dim);
}

model::SessionPlan ReadSession(schema::Session::Reader in) {
  model::SessionPlan out;
  if (in.getKind() == 0) return out;
  out.kind = static_cast<model::SessionKind>(in.getKind());  // Validate knows the three
  out.other = ReadEncoding(in.getOther());
  out.other_dim = in.getOtherDim();
  return out;
}

Result<model::Plan> ReadPlan(schema::Plan::Reader in, const PlanLimits& limits) {
  model::Plan out;
  out.version = in.getVersion();
  if (!CopyExactly(in.getTask(), &out.task.bytes)) return FieldOutOfRange("task");
  if (!CopyExactly(in.getModelHash(), &out.model_hash)) return FieldOutOfRange("model hash");
  out.round = RoundId::FromPacked(in.getRound());
  out.attempt = in.getAttempt();
  out.model_version = in.getModelVersion();
  out.expires_unix_ms = in.getExpiresUnixMs();
  DEMUR_RETURN_IF_ERROR(ReadTraining(in.getTraining(), limits, &out.training));
  out.encoding = ReadEncoding(in.getEncoding());
  DEMUR_RETURN_IF_ERROR(ReadPrivacy(in.getPrivacy(), &out.privacy));
  out.secagg = ReadSecAgg(in.getSecagg());
  out.timeouts = ReadTimeouts(in.getTimeouts());
  DEMUR_RETURN_IF_ERROR(ReadCohort(in.getCohort(), &out.cohort));
  out.session = ReadSession(in.getSession());
  return out;
}

}  // namespace

Bytes EncodePlan(const model::Plan& plan) {
  std::size_t slice_len = 0;
  for (const auto& table : plan.training.slice.tables) slice_len += 4 * table.rows.size();
  capnp::MallocMessageBuilder builder(internal::FirstSegmentWords(slice_len, 4096));
  auto root = builder.initRoot<schema::Plan>();
  root.setVersion(plan.version);
  root.setTask(AsData(plan.task.bytes));
  root.setRound(plan.round.Packed());
  root.setAttempt(plan.attempt);
  root.setModelHash(AsData(plan.model_hash));
  root.setModelVersion(plan.model_version);
  root.setExpiresUnixMs(plan.expires_unix_ms);
  WriteTraining(plan.training, root.initTraining());
  WriteEncoding(plan.encoding, root.initEncoding());
  WritePrivacy(plan.privacy, root.initPrivacy());
  WriteSecAgg(plan.secagg, root.initSecagg());
  WriteTimeouts(plan.timeouts, root.initTimeouts());
  if (!plan.cohort.server_chosen()) WriteCohort(plan.cohort, root.initCohort());
  if (plan.session.sparse()) WriteSession(plan.session, root.initSession());
  return internal::Flatten(builder);
}

Result<model::Plan> DecodePlan(ByteView bytes, const PlanLimits& limits) {
  const auto convert = [&limits](schema::Plan::Reader reader) { return ReadPlan(reader, limits); };
  DEMUR_TRY(model::Plan plan, internal::ReadFlat<schema::Plan>(bytes, {}, convert));
  DEMUR_RETURN_IF_ERROR(plan.Validate());
  return plan;
}

}  // namespace demur::wire
