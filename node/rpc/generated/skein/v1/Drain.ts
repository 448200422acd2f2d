// Original file: proto/skein.proto


export interface Drain {
  'isOn'?: (boolean);
}

export interface Drain__Output {
  'isOn': (boolean);
}
