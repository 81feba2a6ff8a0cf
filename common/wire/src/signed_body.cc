#include "demur/wire/signed_body.h"

#include "flat_reader.h"
#include "schema/signed_body.capnp.h"

namespace demur::wire {

Bytes Encode(const SignedBody& message) {
  capnp::MallocMessageBuilder builder(
      internal::FirstSegmentWords(message.body.size(), kSignatureLen));
  auto root = builder.initRoot<schema::SignedBody>();
  root.setBody(internal::AsData(message.body));
  root.setSignature(internal::AsData(message.signature));
  return internal::Flatten(builder);
}

Result<SignedBody> DecodeSignedBody(Bytes bytes, std::size_t max_body_len) {
  SignedBody out;
  const auto convert = [&](schema::SignedBody::Reader reader) -> Result<ByteView> {
    if (!internal::CopyExactly(reader.getSignature(), &out.signature)) {
      return internal::FieldOutOfRange("signature");
    }
    const ByteView body = internal::AsView(reader.getBody());
    if (body.empty() || body.size() > max_body_len) return internal::FieldOutOfRange("body");
    return body;
  };
  DEMUR_TRY(const ByteView body, internal::ReadFlat<schema::SignedBody>(bytes, {}, convert));
  out.body = internal::KeepOnly(std::move(bytes), body);
  return out;
}

}  // namespace demur::wire
